import io

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.common.masks import (
    check_mask_ids,
    check_mask_size,
    decode_mask,
    ids_of_mask,
    map_mask,
)

MASK = np.array([[0, 1, 255], [2, 2, 1]], np.uint8)


def encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, 'PNG')
    return buffer.getvalue()


def with_palette(mask: np.ndarray) -> Image.Image:
    image = Image.fromarray(mask, 'P')
    image.putpalette([i % 256 for i in range(768)])
    return image


@pytest.mark.parametrize('make', [Image.fromarray, with_palette])
def test_ids_survive(make):
    mask = decode_mask(encode(make(MASK)), 'x')
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, MASK)


def test_one_bit_and_sixteen_bit():
    bits = decode_mask(encode(Image.fromarray(MASK > 1)), 'x')
    assert np.array_equal(bits, MASK > 1)
    wide = decode_mask(encode(Image.fromarray(MASK * np.uint16(200))), 'x')
    # 16-bit ids must not wrap into valid ones.
    assert np.array_equal(wide, MASK * np.uint16(200))


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'LA'])
def test_colour_image_is_no_mask(mode):
    content = encode(with_palette(MASK).convert(mode))
    with pytest.raises(ValueError, match=rf'm\.png is a colour.*{mode}'):
        decode_mask(content, 'm.png')


@pytest.mark.parametrize('content', [b'', b'hello'])
def test_damaged_mask(content):
    with pytest.raises(ValueError, match=r'm\.png is damaged'):
        decode_mask(content, 'm.png')


def test_cut_off_mask():
    noise = np.random.default_rng(0).integers(0, 20, (60, 60), np.uint8)
    content = encode(Image.fromarray(noise))
    with pytest.raises(ValueError, match=r'm\.png is damaged'):
        decode_mask(content[: len(content) // 2], 'm.png')


@pytest.mark.parametrize('dtype', [np.uint8, np.int32])
def test_ids_of_mask(dtype):
    assert ids_of_mask(MASK.astype(dtype)).tolist() == [0, 1, 2, 255]


def test_check_mask_ids():
    check_mask_ids(MASK, 'm.png', range(3))
    with pytest.raises(ValueError, match=r'm\.png has ids \[2\].*0 to 1'):
        check_mask_ids(MASK, 'm.png', range(2))
    with pytest.raises(ValueError, match=r'ids \[255\]'):
        check_mask_ids(MASK, 'm.png', range(3), ignore_index=254)


def test_check_mask_size():
    check_mask_size(MASK, 'm.png', (2, 3), 'i.jpg')
    with pytest.raises(ValueError, match=r'm\.png is 2 x 3.*i\.jpg 4 x 4'):
        check_mask_size(MASK, 'm.png', (4, 4), 'i.jpg')
    with pytest.raises(ValueError, match='EXIF'):
        check_mask_size(MASK, 'm.png', (3, 2), 'i.jpg')


def test_map_mask_swaps_without_chaining():
    mapped = map_mask(MASK, {1: 2, 2: 1, 90: 7})
    assert mapped.tolist() == [[0, 2, 255], [1, 1, 2]]
    assert mapped.dtype == np.uint8
    assert np.array_equal(map_mask(MASK, {}), MASK)
