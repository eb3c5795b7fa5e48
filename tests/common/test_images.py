import io

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.common.images import (
    decode_color_image,
    read_color_image,
    read_image_size,
)

HEIGHT, WIDTH = 24, 40
SWAPPING_ORIENTATION = 6


def photo() -> np.ndarray:
    """Smooth RGB image, uint8, (24, 40, 3), so that JPEG hardly changes it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 6, y * 10, 255 - x * 3 - y * 4], -1).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def sixteen_bit(array: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, array.astype(np.uint16) * 257)[1].tobytes()


RGB = photo()
GREY = RGB[..., 0]
ALPHA = np.full(GREY.shape, 77, np.uint8)
COLOR_FILES = {
    'rgb jpeg': encode(Image.fromarray(RGB), 'JPEG', quality=100),
    'cmyk jpeg': encode(
        Image.fromarray(RGB).convert('CMYK'), 'JPEG', quality=100
    ),
    'rgba png': encode(Image.fromarray(np.dstack([RGB, ALPHA])), 'PNG'),
    'palette png': encode(
        Image.fromarray(RGB).quantize(256, dither=Image.Dither.NONE), 'PNG'
    ),
    '16-bit png': sixteen_bit(RGB[..., ::-1], '.png'),
    '16-bit tiff': sixteen_bit(RGB[..., ::-1], '.tif'),
}
GREY_FILES = {
    'grey jpeg': encode(Image.fromarray(GREY), 'JPEG', quality=100),
    'grey png': encode(Image.fromarray(GREY), 'PNG'),
    'grey and alpha png': encode(
        Image.fromarray(np.dstack([GREY, ALPHA]), 'LA'), 'PNG'
    ),
    '16-bit grey png': sixteen_bit(GREY, '.png'),
}


@pytest.mark.parametrize('name', [*COLOR_FILES, *GREY_FILES])
def test_any_file_becomes_bgr(name):
    files, expected = COLOR_FILES, RGB[..., ::-1]
    if name in GREY_FILES:
        files, expected = GREY_FILES, np.repeat(GREY[..., None], 3, 2)
    image = decode_color_image(files[name], 'x')
    assert image.dtype == np.uint8
    assert image.shape == (HEIGHT, WIDTH, 3)
    difference = np.abs(image.astype(int) - expected)
    # JPEG subsamples colours and a palette has 256; nothing else loses.
    tolerance = {'rgb jpeg': 12, 'cmyk jpeg': 12, 'palette png': 16}
    assert difference.max() <= tolerance.get(name, 2)
    assert difference.mean() <= 4


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = SWAPPING_ORIENTATION
    path = tmp_path / 'turned.jpg'
    Image.fromarray(RGB).save(path, exif=exif, quality=100)
    image = read_color_image(str(path))
    assert image.shape == (WIDTH, HEIGHT, 3)
    # Orientation 6 is shown turned clockwise by a quarter.
    expected = np.rot90(RGB[..., ::-1], -1).astype(int)
    assert np.abs(image - expected).mean() < 4
    assert read_image_size(str(path)) == (WIDTH, HEIGHT)


def test_size_from_the_header(tmp_path):
    path = tmp_path / 'whole.jpg'
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    Image.fromarray(noise).save(path)
    assert read_image_size(str(path)) == (90, 120)
    # Half a file is enough: nothing is decoded.
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert read_image_size(str(path)) == (90, 120)
    path.write_bytes(b'nonsense')
    with pytest.raises(ValueError, match=r'whole\.jpg is damaged'):
        read_image_size(str(path))


NOISE = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
WHOLE = {
    'jpeg': encode(Image.fromarray(NOISE), 'JPEG'),
    'progressive jpeg': encode(
        Image.fromarray(NOISE), 'JPEG', progressive=True
    ),
    'png': encode(Image.fromarray(NOISE), 'PNG'),
}


@pytest.mark.parametrize('name', WHOLE)
@pytest.mark.parametrize('share', [0.1, 0.5, 0.9, 0.999])
def test_cut_off_files_are_errors(name, share):
    whole = WHOLE[name]
    assert decode_color_image(whole, 'x').shape == (80, 80, 3)
    with pytest.raises(ValueError, match=r'folder/half\.jpg'):
        decode_color_image(whole[: int(share * len(whole))], 'folder/half.jpg')


@pytest.mark.parametrize('kind', ['jpeg', 'progressive jpeg'])
def test_cut_off_jpeg_is_found_without_help_of_the_decoder(kind, monkeypatch):
    monkeypatch.setattr(
        'mmcv.imfrombytes', lambda *args, **kwargs: np.zeros((80, 80, 3))
    )
    decode_color_image(WHOLE[kind], 'x')
    with pytest.raises(ValueError, match='cut off'):
        decode_color_image(WHOLE[kind][:-30], 'x')


def test_jpeg_with_thumbnail_and_appendix_is_whole():
    exif = Image.Exif()
    exif[0x010E] = 'a comment'
    thumbnail = encode(Image.fromarray(NOISE[:8, :8]), 'JPEG')
    whole = encode(Image.fromarray(NOISE), 'JPEG', exif=exif)
    # An APP2 segment that holds a whole JPEG, as cameras write them.
    size = (len(thumbnail) + 2).to_bytes(2, 'big')
    whole = whole[:2] + b'\xff\xe2' + size + thumbnail + whole[2:]
    assert decode_color_image(whole + b'appendix', 'x').shape == (80, 80, 3)
    with pytest.raises(ValueError, match='cut off'):
        decode_color_image(whole[:-200], 'x')


@pytest.mark.parametrize('content', [b'', b'hello world', b'\xff\xd8\xff'])
def test_no_image(content):
    with pytest.raises(ValueError, match=r'a\.jpg'):
        decode_color_image(content, 'a.jpg')


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'gone\.jpg'):
        read_color_image(str(tmp_path / 'gone.jpg'))


def test_real_images_are_untouched(voc_root, coco_root):
    for path in [
        *sorted((voc_root / 'JPEGImages').iterdir())[:10],
        *sorted((coco_root / 'JPEGImages').iterdir())[:10],
    ]:
        expected = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert np.array_equal(read_color_image(str(path)), expected)
        assert read_image_size(str(path)) == expected.shape[:2]
