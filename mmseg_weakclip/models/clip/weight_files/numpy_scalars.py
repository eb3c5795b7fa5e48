"""NumPy's scalars in checkpoints, read without NumPy's own unpickling.

The `meta` of mmcv's checkpoints holds scalars such as scores. PyTorch's
weights-only loading refuses them; allowed to build NumPy's own types, a file
could change those for the whole process. These stand-ins give plain numbers.
"""

from typing import Any

import numpy as np

CODES = {
    *('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8'),
    *('f2', 'f4', 'f8'),
}
ORDERS = ('<', '>', '=', '|')


class ScalarType:
    """Stand-in for ``numpy.dtype``.

    Args:
        code: Kind and number of bytes, such as ``'f8'``.

    Raises:
        ValueError: It is not the type of a number.
    """

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in CODES:
            raise ValueError(f'NumPy scalars of the type {code} are not read')
        self.code = code
        self.order = '<'

    def __setstate__(self, state: Any) -> None:
        """Set the byte order, the second entry of NumPy's state."""
        if state[1] not in ORDERS:
            raise ValueError(f'NumPy has no byte order {state[1]}')
        self.order = state[1]


def number(kind: Any, data: Any) -> float | int | bool:
    """Return the number of a pickled scalar.

    Args:
        kind: Type of the number.
        data: Its bytes.

    Raises:
        ValueError: They do not fit each other.
    """
    if not isinstance(kind, ScalarType) or not isinstance(data, bytes):
        raise ValueError('a NumPy scalar is damaged')
    (value,) = np.frombuffer(data, kind.order + kind.code)
    return value.item()


# For torch.serialization.safe_globals. The module has another name since
# NumPy 2.
NUMPY_SCALARS = [
    (number, 'numpy.core.multiarray.scalar'),
    (number, 'numpy._core.multiarray.scalar'),
    (ScalarType, 'numpy.dtype'),
]
