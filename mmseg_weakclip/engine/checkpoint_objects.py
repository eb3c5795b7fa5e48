"""Objects that mmengine keeps in checkpoints, built from plain data.

A checkpoint of mmengine holds, besides tensors and containers, the history of
logged values (``HistoryBuffer``, arrays of NumPy, and references to its
methods) and sometimes a ``ConfigDict``. The stand-ins here take the place of
these classes while PyTorch reads a file: they keep numbers and check them, so
no function that a file names is called. :func:`restore_objects` then builds
the real objects.
"""

import math
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer

from mmseg_weakclip.models.clip.weight_files.numpy_scalars import (
    NUMPY_SCALARS,
    ScalarType,
)

# Fields of a HistoryBuffer.
HISTORY, COUNTS, LENGTH = '_log_history', '_count_history', 'max_length'


class ArrayData:
    """Stand-in for ``numpy.ndarray``: numbers of a fixed width."""

    values: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        """Read version, shape, type, order and bytes, as NumPy writes them.

        Raises:
            ValueError: They do not fit each other.
        """
        _, shape, kind, is_fortran, data = state
        if not isinstance(kind, ScalarType) or not isinstance(data, bytes):
            raise ValueError('an array of NumPy holds more than numbers')
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f'an array of NumPy has the shape {shape}')
        values = np.frombuffer(data, kind.order + kind.code)
        if len(values) != math.prod(shape):
            raise ValueError('an array of NumPy is cut off')
        order = 'F' if is_fortran else 'C'
        self.values = values.reshape(shape, order=order).copy(order)


def new_array(*_: Any) -> ArrayData:
    """Stand in for the function that makes an empty array to be filled."""
    return ArrayData()


class HistoryData:
    """Stand-in for mmengine's ``HistoryBuffer``: its fields."""

    fields: dict[str, Any] | None = None

    def __setstate__(self, state: Any) -> None:
        """Keep the fields.

        Raises:
            ValueError: There is none.
        """
        if not isinstance(state, dict):
            raise ValueError('a HistoryBuffer is damaged')
        self.fields = state


def method_name(_: Any, name: Any) -> str:
    """Stand in for ``getattr``, by which a history names its methods."""
    return str(name)


def plain_dict(items: Any = ()) -> dict:
    """Stand in for ``ConfigDict``, which would build objects when read."""
    return dict(items)


# For torch.serialization.safe_globals: what is called in place of a name.
STAND_INS = [
    *NUMPY_SCALARS,
    (ArrayData, 'numpy.ndarray'),
    (new_array, 'numpy.core.multiarray._reconstruct'),
    (new_array, 'numpy._core.multiarray._reconstruct'),
    (HistoryData, 'mmengine.logging.history_buffer.HistoryBuffer'),
    (method_name, 'builtins.getattr'),
    (plain_dict, 'mmengine.config.config.ConfigDict'),
]


def restore_objects(value: Any) -> Any:
    """Replace the stand-ins in nested containers by what they stand for.

    Containers are changed in place, and those without stand-ins stay as they
    are, with their attributes.

    Args:
        value: What a file holds.

    Returns:
        The value; another object only for a stand-in or a tuple with one.

    Raises:
        ValueError: The data of an object are damaged.
        RecursionError: Containers are nested too deeply, or in themselves.
    """
    if isinstance(value, ArrayData):
        if value.values is None:
            raise ValueError('an array of NumPy has no data')
        return value.values
    if isinstance(value, HistoryData):
        return _history(value.fields or {})
    if isinstance(value, ScalarType):
        raise ValueError('it holds a type of NumPy without a number')
    if isinstance(value, dict):
        for key in value:
            value[key] = restore_objects(value[key])
    elif isinstance(value, list):
        value[:] = [restore_objects(item) for item in value]
    elif type(value) is tuple:
        items = tuple(restore_objects(item) for item in value)
        if any(one is not other for one, other in zip(items, value)):
            return items
    return value


def _history(fields: dict[str, Any]) -> HistoryBuffer:
    arrays = [restore_objects(fields.get(name)) for name in (HISTORY, COUNTS)]
    length = fields.get(LENGTH)
    if (
        not all(isinstance(a, np.ndarray) and a.ndim == 1 for a in arrays)
        or len(arrays[0]) != len(arrays[1])
        or not isinstance(length, int)
    ):
        raise ValueError('a HistoryBuffer is damaged')
    history = HistoryBuffer(max_length=length)
    history._log_history, history._count_history = arrays
    return history
