"""Read the weights of a TorchScript archive without running its code.

``torch.jit.load`` runs code that the archive carries (``__setstate__``).
Here the tensors are taken from the archive's ``data.pkl``: modules are plain
records of attributes (see ``pickle_data``), and the archive's source text only
tells which of them are parameters and buffers.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .pickle_data import Name, Record, read_pickle
from .zip_members import Members

DTYPES = {
    'torch.HalfStorage': torch.float16,
    'torch.BFloat16Storage': torch.bfloat16,
    'torch.FloatStorage': torch.float32,
    'torch.DoubleStorage': torch.float64,
    'torch.ByteStorage': torch.uint8,
    'torch.CharStorage': torch.int8,
    'torch.ShortStorage': torch.int16,
    'torch.IntStorage': torch.int32,
    'torch.LongStorage': torch.int64,
    'torch.BoolStorage': torch.bool,
}
# Functions that mark the type of a container, which does not matter here.
TYPE_MARKS = (
    'restore_type_tag', 'build_intlist', 'build_boollist',
    'build_doublelist', 'build_tensorlist',
)  # fmt: skip
# Modules may be nested in each other, and in themselves if the file is
# hostile.
MAX_DEPTH = 100
MAX_NAMES = 100_000
MAX_NUMBER = 1 << 62

CLASS = re.compile(r'^class (\w+)(?:\((\w*)\))?:', re.MULTILINE)
LIST = re.compile(r'^  __(?:parameters|buffers)__ = \[(.*)\]', re.MULTILINE)
QUOTED = re.compile(r'"([^"\\]*)"')
RESTORES = re.compile(r'^  def __setstate__\(', re.MULTILINE)


class _Storage(NamedTuple):
    dtype: torch.dtype
    values: Tensor


def is_torchscript(members: Members) -> bool:
    """Tell whether an archive is TorchScript's and not a state dict."""
    return 'data.pkl' in members and 'constants.pkl' in members


def read_torchscript(members: Members) -> dict[str, Tensor]:
    """Read parameters and buffers, named as by the module's ``state_dict``.

    Buffers that are not persistent are among them, as in PyTorch.

    Args:
        members: Archive that ``torch.jit.save`` wrote.

    Raises:
        ValueError: The archive is damaged, claims tensors that it does not
            hold, or has a module that only its own code can restore.
    """
    if 'byteorder' in members and members.read('byteorder') != b'little':
        raise ValueError('its numbers are big-endian')
    root = _read_data(members)
    if not isinstance(root, Record):
        raise ValueError('its data is not a module')
    sources = _Sources(members)
    state: dict[str, Tensor] = {}
    for name, value in _walk(root, sources, '', 0):
        state[name] = value
        if len(state) > MAX_NAMES:
            raise ValueError(f'it claims more than {MAX_NAMES:,} tensors')
    return state


def _read_data(members: Members) -> Any:
    @cache
    def raw(key: str) -> Tensor:
        content = bytearray(members.read(f'data/{key}'))
        # PyTorch takes no empty buffer.
        return torch.frombuffer(content or bytearray(1), dtype=torch.uint8)[
            : len(content)
        ]

    def storage(reference: Any) -> _Storage:
        match reference:
            case ('storage', Name(kind), str(key), str(), int(length)):
                pass
            case _:
                raise ValueError('it refers to something else than storage')
        if kind not in DTYPES:
            raise ValueError(f'it holds numbers of the type {kind}')
        # A byte other than 0 and 1 is no valid bool.
        dtype = DTYPES[kind]
        values = raw(key)
        if len(values) != length * dtype.itemsize:
            raise ValueError(
                f'it claims {length:,} numbers in {key!r}, which holds '
                f'{len(values):,} bytes'
            )
        return _Storage(
            dtype,
            values != 0 if dtype is torch.bool else values.view(dtype),
        )

    def tensor(
        source: Any, offset: Any, size: Any, stride: Any, *_: Any
    ) -> Tensor:
        if not isinstance(source, _Storage):
            raise ValueError('it has a tensor without storage')
        return _view(source, offset, size, stride, members.size)

    functions = {
        f'torch.jit._pickle.{name}': _first_argument for name in TYPE_MARKS
    }
    functions['torch._utils._rebuild_tensor_v2'] = tensor
    functions['collections.OrderedDict'] = _empty_dict
    return read_pickle(members.read('data.pkl'), functions, storage)


def _first_argument(value: Any, *_: Any) -> Any:
    return value


def _empty_dict() -> dict:
    return {}


def _view(
    storage: _Storage, offset: Any, size: Any, stride: Any, limit: int
) -> Tensor:
    """Return a view of a storage whose bounds are checked.

    Args:
        storage: Numbers.
        offset: Index of the first.
        size: Shape of the view.
        stride: Distance of neighbours along each axis.
        limit: Largest size of the view in bytes; axes of stride 0 may repeat
            numbers.
    """
    numbers = _whole_numbers((offset,), size, stride)
    if not numbers or len(size) != len(stride):
        raise ValueError('it has a tensor of impossible shape')
    count, last = 1, offset
    for length, step in zip(size, stride):
        count *= length
        last += (length - 1) * step
    if count and last >= len(storage.values):
        raise ValueError(
            f'it has a tensor {size} that exceeds its storage of '
            f'{len(storage.values):,} numbers'
        )
    if count * storage.dtype.itemsize > limit:
        raise ValueError(f'it has a tensor {size}, larger than the file')
    return torch.as_strided(storage.values, size, stride, offset)


def _whole_numbers(*tuples: Any) -> bool:
    return all(
        isinstance(numbers, tuple)
        and all(type(n) is int and 0 <= n < MAX_NUMBER for n in numbers)
        for numbers in tuples
    )


class _Sources:
    """Declarations in the archive's source text, which is never run."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._files: dict[str, dict[str, list[str] | None]] = {}
        self._asked = 0

    def tensors(self, kind: str) -> list[str] | None:
        """Return the parameters and buffers of a class; None if no module.

        Raises:
            ValueError: Nothing declares the class, it has code to restore its
                objects, or there are too many modules.
        """
        self._asked += 1
        if self._asked > MAX_NAMES:
            raise ValueError(f'it claims more than {MAX_NAMES:,} modules')
        file, _, name = kind.rpartition('.')
        file = f'code/{file.replace(".", "/")}.py'
        if file not in self._files:
            self._files[file] = _declarations(
                self._members.read(file).decode(errors='replace')
            )
        if name not in self._files[file]:
            raise ValueError(f'nothing declares its class {kind}')
        return self._files[file][name]


def _declarations(text: str) -> dict[str, list[str] | None]:
    found: dict[str, list[str] | None] = {}
    classes = list(CLASS.finditer(text))
    ends = [match.start() for match in classes[1:]] + [len(text)]
    for match, end in zip(classes, ends):
        name, base = match.groups()
        body = text[match.end() : end]
        if RESTORES.search(body):
            raise ValueError(
                f'its class {name} has code to restore itself (__setstate__), '
                'which is not run; ask for the weights as a state dict or '
                'safetensors'
            )
        listed = [
            entry
            for names in LIST.findall(body)
            for entry in QUOTED.findall(names)
        ]
        found[name] = listed if base == 'Module' else None
    return found


def _walk(
    module: Record, sources: _Sources, prefix: str, depth: int
) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a module and of the modules in it, with names."""
    if depth > MAX_DEPTH:
        raise ValueError(f'it has modules nested {MAX_DEPTH} deep')
    declared = sources.tensors(module.kind)
    if declared is None:
        return
    if not isinstance(module.state, dict):
        raise ValueError(f'its {prefix or "module "}has no attributes')
    for name in declared:
        value = module.state.get(name)
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif value is not None or name not in module.state:
            raise ValueError(f'its {prefix + name!r} is not a tensor')
    for name, value in module.state.items():
        if isinstance(value, Record):
            yield from _walk(value, sources, f'{prefix}{name}.', depth + 1)
