"""Reader of ``cls_labels*.npy``: pickled dicts of multi-hot vectors."""

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mmseg_weakclip.common.names import (
    COCO91_NAMES,
    COCO_NAMES,
    split_background,
)
from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
    require_classes,
)
from mmseg_weakclip.datasets.labels.image_labels import canonical_image_id
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow


def _latin1(text: str, encoding: str = 'latin1') -> bytes:
    """Encode a text as ``_codecs.encode`` does for bytes in old pickles."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'encoding {encoding} is refused')
    return text.encode('latin1')


# The functions are taken from numpy's own pickles: their home has moved.
_ADMITTED: dict[tuple[str, str], Any] = {
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
    ('numpy.core.multiarray', '_reconstruct'): np.empty(0).__reduce__()[0],
    ('numpy.core.multiarray', 'scalar'): np.float64(0).__reduce__()[0],
    ('numpy.core.numeric', '_frombuffer'): np.empty(0).__reduce_ex__(5)[0],
    ('collections', 'OrderedDict'): OrderedDict,
    ('builtins', 'set'): set,
    ('_codecs', 'encode'): _latin1,
}


class ArrayUnpickler(pickle.Unpickler):
    """Unpickler of NumPy arrays and plain containers that refuses the rest.

    A pickle is a program. Only the functions that rebuild an array may be
    called, so that a label file of unknown origin cannot run code.

    Args:
        file: Binary file, positioned at the pickle.
    """

    def __init__(self, file: BinaryIO) -> None:
        # Latin-1 reads arrays that Python 2 has written.
        super().__init__(file, encoding='latin1')

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Return an admitted class or function; see ``pickle.Unpickler``.

        Raises:
            pickle.UnpicklingError: It is not admitted.
        """
        home = module.replace('numpy._core', 'numpy.core')
        try:
            return _ADMITTED[home, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f'it calls {module}.{name}, which is not allowed'
            ) from None


def load_object_array(path: str | Path) -> Any:
    """Load the one object of a 0-d object ``.npy`` without running code.

    Raises:
        ValueError: The file is of another kind, or its pickle asks for more
            than arrays and containers.
    """
    with Path(path).open('rb') as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read_header(file)
        except (ValueError, KeyError) as error:
            raise ValueError(
                f'{path} is not an .npy file: {error}.'
            ) from error
        if shape != () or dtype.kind != 'O':
            raise ValueError(
                f'{path} holds an array of {dtype}, shape {shape}, where a '
                'pickled dict (image id to multi-hot) is expected.'
            )
        try:
            array = ArrayUnpickler(file).load()
        except Exception as error:
            # A damaged pickle raises nearly anything.
            raise ValueError(
                f'{path} was not loaded: {error}. No code in it was run.'
            ) from error
    if not isinstance(array, np.ndarray) or array.shape != ():
        raise ValueError(f'{path} does not hold a single object.')
    return array.item()


def multi_hot_columns(
    width: int, classes: Sequence[str]
) -> tuple[list[str | None], str]:
    """Tell what the columns of a multi-hot label mean by their number.

    Args:
        width: Number of columns.
        classes: Foreground class names.

    Returns:
        The class name of each column, None for the background, and the
        layout in words.

    Raises:
        ValueError: No layout of these classes has so many columns.
    """
    layouts: dict[int, tuple[Sequence[str | None], str]] = {}
    if tuple(classes) == COCO_NAMES:
        layouts[len(COCO91_NAMES)] = COCO91_NAMES, 'the ids of COCO, 1 first'
    layouts[len(classes)] = classes, 'one per foreground class'
    for names, words in list(layouts.values()):
        layouts[len(names) + 1] = (None, *names), f'background, then {words}'
    if width not in layouts:
        raise ValueError(
            f'{width} columns for {len(classes)} foreground classes; '
            f'expected {" or ".join(map(str, sorted(layouts)))}'
        )
    names, words = layouts[width]
    return list(names), words


def _matches(content: Content) -> bool:
    """Return whether a file has NumPy's suffix."""
    return content.suffix == '.npy'


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read labels from a pickled dict of image ids and multi-hot vectors.

    Ids are str or int. Vectors have one column per foreground class, or one
    more in front for the background; for COCO's 80 classes also 90 or 91, by
    COCO's own ids.

    Raises:
        ValueError: The file has another structure, values other than 0 and
            1, or a pickle that asks for code, or there is no class list.
    """
    path = content.path
    foreground, _ = split_background(require_classes(path, options.classes))
    data = load_object_array(path)
    if not isinstance(data, Mapping) or not data:
        raise ValueError(
            f'{path} holds a {type(data).__name__}, not a dict of labels.'
        )
    width = np.size(next(iter(data.values())))
    try:
        columns, words = multi_hot_columns(width, foreground)
    except ValueError as error:
        raise ValueError(f'{path}: {error}.') from error
    rows = []
    for key, value in data.items():
        image_id = canonical_image_id(_plain_key(key, path))
        vector = np.asarray(value)
        if vector.shape != (width,) or vector.dtype.kind not in 'biuf':
            raise ValueError(
                f'{path}: the label of image {image_id!r} has shape '
                f'{vector.shape} and type {vector.dtype}; a vector of '
                f'{width} numbers is expected.'
            )
        if not np.isin(vector, (0, 1)).all():
            raise ValueError(
                f'{path}: the label of image {image_id!r} has values other '
                f'than 0 and 1: {vector[~np.isin(vector, (0, 1))][:5]}.'
            )
        names = (columns[i] for i in np.flatnonzero(vector))
        rows.append(LabelRow('', image_id, tuple(filter(None, names))))
    return LabelFile(
        str(path),
        FORMAT.title,
        tuple(rows),
        foreground,
        (f'{width} label columns, {words}',),
    )


def _plain_key(key: object, path: str | Path) -> str | int:
    if isinstance(key, bytes):
        return key.decode()
    if isinstance(key, str):
        return str(key)
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        return int(key)
    raise ValueError(f'{path}: {key!r} is not an image id.')


FORMAT = LabelFormat(
    'npy', 'pickled dict of multi-hot vectors', _matches, _read
)
