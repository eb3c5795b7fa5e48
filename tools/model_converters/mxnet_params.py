"""Weights in MXNet's binary format, read without MXNet.

A file is a list of arrays and a list of their names, all little-endian:

    uint64 0x112, uint64 0
    uint64 number of arrays, then for each
        uint32 version, shape, int32 device type, int32 device id,
        int32 type of the numbers, the numbers row by row
    uint64 number of names, then for each uint64 length and the bytes

The version tells how the shape is written. Files from before 2017 have none:
there it is the number of axes itself, and sizes have 32 bits.
"""

import struct
from pathlib import Path

import numpy as np

LIST_MAGIC = 0x112
# 64-bit sizes; the later one has the kind of storage ahead of the shape.
WIDE_SHAPES, WITH_STORAGE = 0xF993FAC8, 0xF993FAC9
DENSE = 0
TYPES = ('f4', 'f8', 'f2', 'u1', 'i4', 'i1', 'i8')
MAX_AXES = 32


class _Reader:
    """Takes numbers from the front of a file's content."""

    def __init__(self, content: bytes, path: str | Path) -> None:
        self.content, self.path, self.position = content, path, 0

    def fail(self, problem: str) -> ValueError:
        return ValueError(f'{self.path}, byte {self.position}: {problem}')

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.content):
            raise self.fail(
                f'the file ends {end - len(self.content)} too soon'
            )
        start, self.position = self.position, end
        return self.content[start:end]

    def numbers(self, kinds: str) -> tuple[int, ...]:
        """Numbers of fixed sizes, by struct's letters."""
        kinds = f'<{kinds}'
        return struct.unpack(kinds, self.take(struct.calcsize(kinds)))

    def array(self) -> np.ndarray:
        (version,) = self.numbers('I')
        if version == WITH_STORAGE:
            (storage,) = self.numbers('i')
            if storage != DENSE:
                raise self.fail(f'an array of sparse storage ({storage})')
        letter = 'I'
        axes = version
        if version in (WIDE_SHAPES, WITH_STORAGE):
            letter = 'q'
            (axes,) = self.numbers('I')
        if not 0 < axes <= MAX_AXES:
            raise self.fail(f'an array of version or axes {axes:#x}')
        shape = self.numbers(f'{axes}{letter}')
        if min(shape) < 0:
            raise self.fail(f'an array of shape {shape}')
        *_, kind = self.numbers('iii')
        if not 0 <= kind < len(TYPES):
            raise self.fail(f'an array of numbers of type {kind}')
        dtype = np.dtype(f'<{TYPES[kind]}')
        # Python's numbers, which do not overflow.
        count = 1
        for size in shape:
            count *= size
        values = np.frombuffer(self.take(count * dtype.itemsize), dtype)
        return values.reshape(shape)


def is_mxnet_params(path: str | Path) -> bool:
    """Whether a file begins as MXNet's do."""
    with open(path, 'rb') as file:
        return file.read(8) == struct.pack('<Q', LIST_MAGIC)


def read_mxnet_params(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays of a ``.params`` file.

    Returns:
        Arrays by their names, such as ``arg:conv1a_weight`` for what is
        learnt and ``aux:bn7_moving_mean`` for statistics; read-only.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not a file of MXNet weights, is cut off, or has
            sparse or unnamed arrays.
    """
    reader = _Reader(Path(path).read_bytes(), path)
    if len(reader.content) < 24 or reader.numbers('QQ')[0] != LIST_MAGIC:
        raise ValueError(f'{path} is not a file of MXNet weights')
    (count,) = reader.numbers('Q')
    arrays = [reader.array() for _ in range(count)]
    (named,) = reader.numbers('Q')
    if named != count:
        raise reader.fail(f'{named} names for {count} arrays')
    names = [reader.take(*reader.numbers('Q')).decode() for _ in range(named)]
    if reader.position != len(reader.content):
        raise reader.fail('the file goes on behind the last name')
    if len(set(names)) != count:
        raise reader.fail('two arrays have one name')
    return dict(zip(names, arrays))
