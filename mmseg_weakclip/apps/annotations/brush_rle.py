"""Label Studio's run lengths of brush masks: bits, of all four channels.

A stream of bits: the number of values in 32 bits, the bits of a value less 1
in 5, and four widths less 1 in 4 each. Then runs: a bit that is 1, 2 bits for
the width, the length less 1 in that width, the value. (A bit that is 0 starts
values that are not repeated, which masks do not need: each pixel has four
equal values.)

Reference: ``rle-pack`` of https://github.com/thi-ng/umbrella, which Label
Studio uses; https://labelstud.io/guide/export
"""

from collections.abc import Iterator

import numpy as np

from mmseg_weakclip.common.rle import encode_runs

CHANNELS = 4
VALUE_BITS = 8
WIDTHS = (3, 4, 8, 16)
PRESENT = 255
MOST_VALUES = 1 << 32


def encode_brush(mask: np.ndarray) -> list[int]:
    """Return the ``rle`` of a brush mask, bytes as numbers from 0 to 255.

    Args:
        mask: Pixels that belong to the object, bool, (H, W).

    Raises:
        ValueError: The image has more values than the format can count.
    """
    values = mask.size * CHANNELS
    if values >= MOST_VALUES:
        raise ValueError(
            f'an image of {mask.shape[1]} x {mask.shape[0]} pixels is too '
            "large for Label Studio's brush; use --segmentation polygons"
        )
    head = [
        f'{values:032b}',
        f'{VALUE_BITS - 1:05b}',
        *(f'{width - 1:04b}' for width in WIDTHS),
    ]
    # Runs go row by row; encode_runs goes column by column.
    runs = enumerate(encode_runs(mask.T))
    bits = ''.join(
        [
            *head,
            *(
                piece
                for number, length in runs
                for piece in _run(length * CHANNELS, PRESENT * (number % 2))
            ),
        ]
    )
    bits += '0' * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, 'big'))


def _run(length: int, value: int) -> Iterator[str]:
    """Yield the bits of a run, cut where it is too long for the format."""
    longest = 1 << WIDTHS[-1]
    while length > 0:
        piece = min(length, longest)
        number = next(i for i, w in enumerate(WIDTHS) if piece <= 1 << w)
        yield f'1{number:02b}{piece - 1:0{WIDTHS[number]}b}{value:08b}'
        length -= piece
