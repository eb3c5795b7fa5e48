"""COCO's run lengths of binary masks.

The pixels of a mask, column by column, as lengths of runs that are in turn 0
and 1, the first 0 and perhaps empty. The compressed form writes the same
numbers as text: from the third on the difference to the last but one, each
in groups of five bits, lowest first, as characters from '0' on; a group's
sixth bit says that another follows.
"""

from collections.abc import Sequence

import numpy as np

GROUP_BITS = 5
GROUP = (1 << GROUP_BITS) - 1
SIGN = 1 << (GROUP_BITS - 1)
FOLLOWED = 1 << GROUP_BITS
FIRST_CHARACTER = ord('0')


def encode_runs(mask: np.ndarray) -> list[int]:
    """Run lengths of a mask (H, W) of zeros and others."""
    pixels = (mask != 0).ravel(order='F')
    ends = np.flatnonzero(np.diff(pixels)) + 1
    # A mask that begins with ones has an empty run of zeros first.
    first = [0] if pixels.size and pixels[0] else []
    edges = np.concatenate([[0], first, ends, [pixels.size]]).astype(int)
    return np.diff(edges).tolist()


def decode_runs(runs: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """The mask, bool, (H, W), of run lengths.

    Raises:
        ValueError: They do not add up to its pixels.
    """
    height, width = size
    if sum(runs) != height * width:
        raise ValueError(
            f'run lengths of {sum(runs)} pixels for a mask of {height} x '
            f'{width}'
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(size, order='F')


def compress_runs(runs: Sequence[int]) -> str:
    """Run lengths as COCO's text."""
    text = []
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        while True:
            group = value & GROUP
            value >>= GROUP_BITS
            # The highest bit of the last group is the sign.
            done = value == (-1 if group & SIGN else 0)
            text.append(group if done else group | FOLLOWED)
            if done:
                break
    return ''.join(chr(FIRST_CHARACTER + group) for group in text)


def decompress_runs(text: str) -> list[int]:
    """Run lengths of COCO's text."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - FIRST_CHARACTER
        value |= (group & GROUP) << shift
        shift += GROUP_BITS
        if group & FOLLOWED:
            continue
        if group & SIGN:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs
