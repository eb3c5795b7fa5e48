"""Label Studio's brush run lengths, decoded as the format says."""

import numpy as np
import pytest

from mmseg_weakclip.apps.annotations.brush_rle import encode_brush


def decode(rle):
    """Return the values of a stream, by the description of the format."""
    bits = ''.join(f'{byte:08b}' for byte in rle)
    at = 0

    def take(count):
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    total = take(32)
    width = take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values = []
    while len(values) < total:
        repeated = take(1)
        length = take(sizes[take(2)]) + 1
        if repeated:
            values += [take(width)] * length
        else:
            values += [take(width) for _ in range(length)]
    # What is left fills the last byte.
    assert set(bits[at:]) <= {'0'}
    assert len(bits) - at < 8
    return values


def as_rgba(mask):
    return np.repeat(mask.astype(np.uint8) * 255, 4).tolist()


@pytest.mark.parametrize('share', [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize('size', [(1, 1), (1, 9), (7, 1), (13, 17), (90, 70)])
def test_random_masks_come_back(share, size):
    mask = np.random.default_rng(0).random(size) < share
    assert decode(encode_brush(mask)) == as_rgba(mask)


def test_by_hand():
    """1 x 3 pixels, the second is set: 12 values in three runs of 4."""
    bits = (
        f'{12:032b}' + '00111' + '0010' + '0011' + '0111' + '1111'
        + '1' + '00' + '011' + '00000000'
        + '1' + '00' + '011' + '11111111'
        + '1' + '00' + '011' + '00000000'
    )  # fmt: skip
    bits += '0' * (-len(bits) % 8)
    expected = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert encode_brush(np.array([[0, 1, 0]], bool)) == expected


@pytest.mark.parametrize('pixels', [1, 2, 3, 4, 5, 63, 64, 65, 16383, 16384,
                                    16385, 40000])  # fmt: skip
def test_lengths_at_the_widths(pixels):
    mask = np.ones((1, pixels), bool)
    assert decode(encode_brush(mask)) == [255] * 4 * pixels


def test_photos_need_little():
    """An object of 1,000 x 1,000 in a photo of 12 megapixels."""
    mask = np.zeros((3000, 4000), bool)
    mask[1000:2000, 1000:2000] = True
    rle = encode_brush(mask)
    assert len(rle) < 12_000
    assert all(0 <= byte < 256 for byte in rle)


def test_images_that_are_too_large():
    mask = np.broadcast_to(np.False_, (1 << 15, 1 << 15))
    with pytest.raises(ValueError, match='use --segmentation polygons'):
        encode_brush(mask)


def test_label_studios_own_decoder_reads_it():
    brush = pytest.importorskip('label_studio_sdk.converter.brush')
    rng = np.random.default_rng(0)
    for size in [(1, 1), (5, 9), (64, 48)]:
        mask = rng.random(size) < 0.4
        found = brush.decode_rle(encode_brush(mask))
        assert found.tolist() == as_rgba(mask)
        own = brush.mask2rle(mask.astype(np.uint8) * 255)
        # Theirs may end with another byte of zeros.
        ours = encode_brush(mask)
        assert own[: len(ours)] == ours
