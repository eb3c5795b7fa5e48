"""Read tensors from a file of unknown origin without running code from it.

TorchScript archives go through our own reader (``torchscript``), state dicts
through ``torch.load(weights_only=True)``, safetensors through its library.
Whatever is wrong with a file becomes one ValueError that names it.
"""

import re
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .file_kinds import PICKLE, describe_file, looks_like_safetensors
from .numpy_scalars import NUMPY_SCALARS
from .torchscript import is_torchscript, read_torchscript
from .zip_members import ZIP_MAGIC, Members, open_members

# Scalars that OpenAI's TorchScript archives keep among the weights.
ARCHIVE_SCALARS = ('input_resolution', 'context_length', 'vocab_size')
# A token table may be stored as its trained rows: see expand_token_table.
TOKEN_TABLE = 'token_embedding.weight'
TOKEN_ROWS = 'token_embedding.rows'
MAX_VOCABULARY = 1 << 22
FORBIDDEN = re.compile(r'GLOBAL (\S+) (?:was not an allowed|whose module)')
# Number of a dict's keys that a message names.
SHOWN = 5
DTYPES = {
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool,
}  # fmt: skip


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read weights from a file without running code from it.

    Args:
        path: TorchScript archive such as OpenAI's, a (possibly nested,
            possibly ``module.``-prefixed) state dict, or safetensors.

    Returns:
        Tensors by their names, on the CPU, all numbers finite.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It holds something else than tensors, is damaged, or has
            a number that is not finite; the message says what it seems to be.
    """
    state, _ = read_checkpoint(path)
    if TOKEN_ROWS not in state:
        return state
    try:
        return expand_token_table(state)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[Any, Any]]:
    """Read weights and what a checkpoint holds beside them.

    Args:
        path: See :func:`read_state_dict`.

    Returns:
        Tensors by their names, and the other entries such as ``'meta'``;
        none if the file is not nested.

    Raises:
        OSError: The file cannot be opened.
        ValueError: See :func:`read_state_dict`.
    """
    loaded = read_file(path)
    state = _unpack(Path(path), loaded)
    if 'state_dict' not in loaded:
        return state, {}
    return state, {k: v for k, v in loaded.items() if k != 'state_dict'}


def read_file(
    path: Path,
    stand_ins: Sequence[tuple[Callable, str]] = NUMPY_SCALARS,
    map_location: Any = 'cpu',
) -> Any:
    """Read what a file holds, running no code from it.

    Args:
        path: See :func:`read_state_dict`.
        stand_ins: What a pickle may call besides PyTorch's own list: a
            function or class, and the name that it takes the place of.
        map_location: Device of the tensors of a pickle, as ``torch.load``
            takes it.

    Returns:
        Dict of tensors, or whatever a ``.pt`` or ``.pth`` file holds beside
        tensors: containers, numbers and strings.

    Raises:
        OSError: The file cannot be opened.
        ValueError: See :func:`read_state_dict`.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f'{path} is a folder, not a file of weights')
    with path.open('rb') as file:
        head = file.read(16)
    try:
        return _read_any(path, head, stand_ins, map_location)
    except Exception as error:  # readers of broken files raise anything
        problem = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(f'{path} cannot be read: {problem}') from error


def is_archive_of_code(path: Path) -> bool:
    """Tell whether a file is a TorchScript archive.

    Raises:
        OSError: The file cannot be opened.
    """
    with Path(path).open('rb') as file:
        if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            return False
    try:
        with open_members(Path(path)) as members:
            return is_torchscript(members)
    except ValueError:  # read_state_dict says what is wrong
        return False


def _read_any(
    path: Path,
    head: bytes,
    stand_ins: Sequence[tuple[Callable, str]],
    map_location: Any,
) -> Any:
    if head.startswith(ZIP_MAGIC):
        with open_members(path) as members:
            if is_torchscript(members):
                return read_torchscript(members)
            if 'data.pkl' not in members:
                raise ValueError(_describe_zip(members))
            members.verify()
    elif looks_like_safetensors(head):
        return _read_safetensors(path)
    elif not head.startswith(PICKLE):
        raise ValueError(f'it seems to be {describe_file(path)}')
    return _read_pickle(path, stand_ins, map_location)


def _describe_zip(members: Members) -> str:
    names = list(members)
    if names and all(name.endswith('.npy') for name in names):
        return 'it seems to be a NumPy archive (.npz)'
    if 'model.json' in members:
        return 'it seems to be an archive of PyTorch 1.0; save it anew'
    return (
        'it seems to be a zip archive that PyTorch did not write, with '
        f'{len(names)} members such as {names[:2]}; unpack it first'
    )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        size = path.stat().st_size
        raise ValueError(
            f'it seems to be a safetensors file of {size:,} bytes that is '
            f'cut off or damaged ({error}); download it again'
        ) from error


def _read_pickle(
    path: Path,
    stand_ins: Sequence[tuple[Callable, str]],
    map_location: Any,
) -> Any:
    # PyTorch's first format, a tar, is not safe before PyTorch 2.6.
    if tarfile.is_tarfile(path):
        raise ValueError('it seems to be a tar archive; unpack it first')
    try:
        with torch.serialization.safe_globals(list(stand_ins)):
            return torch.load(
                path, map_location=map_location, weights_only=True
            )
    except Exception as error:  # unpickling raises anything
        # PyTorch's own message advises to run the file's code.
        if match := FORBIDDEN.search(str(error)):
            raise ValueError(
                f'it holds an object of {match[1]}, and only code could '
                'restore it, which is not run; ask for a file of tensors '
                'alone, such as safetensors'
            ) from error
        raise ValueError(
            f'it seems to be {describe_file(path)}, cut off or damaged or '
            f'with more than tensors in it ({type(error).__name__}); '
            'download it again, or ask for safetensors'
        ) from error


def _unpack(path: Path, loaded: Any) -> dict[str, Tensor]:
    """Return the tensors of a dict, checked, without common prefixes."""
    if not isinstance(loaded, dict):
        raise ValueError(
            f'{path} holds a {type(loaded).__name__}, not a dict of tensors'
        )
    state = loaded.get('state_dict', loaded)
    if not isinstance(state, dict) or not any(
        isinstance(value, Tensor) for value in state.values()
    ):
        keys = list(map(str, loaded))[:SHOWN]
        raise ValueError(
            f'{path} holds a dict without tensors; its keys begin with {keys}'
        )
    limit = path.stat().st_size
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        if not isinstance(name, str):
            raise ValueError(f'{path} holds a tensor without a name: {name}')
        if name in ARCHIVE_SCALARS:
            continue
        short = name.removeprefix('module.')
        if short in tensors:
            raise ValueError(f'{path} holds {short!r} twice')
        problem = _problem_of(value, limit)
        if problem:
            raise ValueError(f'{path}: {name!r} {problem}')
        tensors[short] = value.detach()
    return tensors


def _problem_of(value: Any, limit: int) -> str | None:
    """Return what is wrong with a value of a file of ``limit`` bytes."""
    if not isinstance(value, Tensor):
        return f'is a {type(value).__name__}, not a tensor'
    if (
        value.layout is not torch.strided
        or value.device.type != 'cpu'
        or value.dtype not in DTYPES
    ):
        return f'is a tensor of an unknown kind ({value.dtype})'
    if value.nbytes > limit:
        return f'claims {value.nbytes:,} bytes in a file of {limit:,} bytes'
    if value.is_floating_point() and not bool(value.isfinite().all()):
        return (
            'has a number that is not finite (NaN or infinity): the training '
            'failed, or the file is damaged'
        )
    return None


def expand_token_table(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Fill a token table that holds only its trained rows.

    Tokens that were never trained get the zero vector, so unknown words add
    nothing.

    Args:
        state: State dict in which ``TOKEN_TABLE`` holds (R, D) rows,
            ``TOKEN_ROWS`` holds the R token ids followed by the size of the
            vocabulary.

    Raises:
        ValueError: Rows and ids do not fit each other.
    """
    state = dict(state)
    *rows, vocabulary = state.pop(TOKEN_ROWS).long().flatten().tolist() or [0]
    values = state.get(TOKEN_TABLE)
    if (
        values is None
        or values.ndim != 2
        or len(values) != len(rows)
        or not 0 < vocabulary <= MAX_VOCABULARY
        or not all(0 <= row < vocabulary for row in rows)
    ):
        raise ValueError(
            f'{TOKEN_ROWS} names {len(rows)} rows of {vocabulary}, which do '
            f'not fit {TOKEN_TABLE}'
        )
    table = values.new_zeros(vocabulary, values.shape[1])
    table[rows] = values
    state[TOKEN_TABLE] = table
    return state
