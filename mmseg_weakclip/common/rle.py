"""Run lengths of masks, as numbers and as COCO's compressed text.

COCO (cocodataset.org, "Data format") counts pixels column by column, in turn
of zeros and of ones. As text, each number from the fourth on is the
difference to the one two before it, in groups of five bits, lowest first,
with a sixth bit for "more follow", each written as the character 48 + group.
"""

from collections.abc import Sequence

import numpy as np

# Characters of the text: 48 is the group 0, without more to follow.
ZERO = 48
BITS, MORE, SIGN = 5, 0x20, 0x10


def encode_runs(mask: np.ndarray) -> list[int]:
    """Return the run lengths of a mask, (H, W), column by column.

    Runs are in turn of zeros and of ones; the first, of zeros, may be empty.
    """
    pixels = (mask != 0).ravel(order='F')
    ends = np.flatnonzero(np.diff(pixels)) + 1
    first = [0] if pixels.size and pixels[0] else []
    edges = np.concatenate([[0], first, ends, [pixels.size]]).astype(int)
    return np.diff(edges).tolist()


def encode_label_runs(labels: np.ndarray) -> list[list[int]]:
    """Return the run lengths of each id of a partition, as of its mask.

    All in one pass: masks of a thousand regions of a large photo would take
    gigabytes.

    Args:
        labels: Id of each pixel, (H, W).

    Returns:
        Run lengths as of :func:`encode_runs`, by ascending id.
    """
    pixels = labels.ravel(order='F')
    starts = np.flatnonzero(np.diff(pixels, prepend=pixels[:1] - 1))
    lengths = np.diff(np.append(starts, pixels.size))
    owners = pixels[starts]
    order = np.argsort(owners, kind='stable')
    cuts = np.flatnonzero(np.diff(owners[order])) + 1
    runs = []
    for own in np.split(order, cuts):
        # Runs of ones; the zeros are what lies between them.
        edges = np.stack([starts[own], starts[own] + lengths[own]], 1).ravel()
        whole = np.concatenate([[0], edges, [pixels.size]]).astype(int)
        each = np.diff(whole).tolist()
        # The last, of zeros, is left out where the ones reach the end.
        runs.append(each if each[-1] else each[:-1])
    return runs


def decode_runs(runs: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Return the mask of run lengths, bool, (H, W).

    Args:
        runs: Lengths in turn of zeros and of ones.
        size: H and W.

    Raises:
        ValueError: A length is negative, or their sum is not H * W.
    """
    height, width = size
    lengths = np.asarray(runs, np.int64)
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise ValueError(
            f'run lengths of {lengths.sum()} pixels are not those of '
            f'{height} x {width}'
        )
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(size, order='F')


def compress_runs(runs: Sequence[int]) -> str:
    """Return run lengths as COCO's compressed text."""
    characters = []
    for place, length in enumerate(runs):
        rest = length - (runs[place - 2] if place > 2 else 0)
        more = True
        while more:
            group = rest & (MORE - 1)
            rest >>= BITS
            more = rest != (-1 if group & SIGN else 0)
            characters.append(chr(ZERO + (group | MORE if more else group)))
    return ''.join(characters)


def expand_runs(text: str) -> list[int]:
    """Return the run lengths of COCO's compressed text.

    Raises:
        ValueError: The text ends within a number, or has characters that
            such texts do not have.
    """
    runs: list[int] = []
    number = shift = 0
    for character in text:
        group = ord(character) - ZERO
        if not 0 <= group < 2 * MORE:
            raise ValueError(
                f'compressed run lengths have no character {character!r}'
            )
        number |= (group & (MORE - 1)) << shift
        shift += BITS
        if group & MORE:
            continue
        if group & SIGN:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    if shift:
        raise ValueError('compressed run lengths end within a number')
    return runs
