import io
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.common.image_headers import decode_image_size, is_cut_off
from mmseg_weakclip.common.images import (
    decode_color_image,
    decode_image,
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


def test_a_film_behind_the_picture_does_not_matter():
    """Motion photos of phones: its bytes may look like markers."""
    whole = WHOLE['jpeg']
    film = b'\0\0\0\x18ftypmp42' + b'\xff\xda\xff\xd8' * 100
    assert not is_cut_off(whole + film)
    assert decode_color_image(whole + film, 'x').shape == (80, 80, 3)
    assert is_cut_off(whole[:-2])
    # Coded data that ends in the middle of a stuffed byte.
    assert is_cut_off(whole[: whole.rindex(b'\xff\x00') + 1])


def turned(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = dict(tiffinfo=exif) if kind == 'TIFF' else dict(exif=exif)
    lossless = dict(quality=100) if kind == 'JPEG' else {}
    if kind == 'WEBP':
        lossless = dict(lossless=True)
    return encode(Image.fromarray(RGB), kind, **options, **lossless)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'WEBP'])
@pytest.mark.parametrize('orientation', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 300])
def test_orientation_of_every_format(kind, orientation):
    """As the EXIF standard draws them; other numbers mean nothing."""
    shown = {
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: np.rot90(RGB, -1),
        7: RGB[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(RGB),
    }.get(orientation, RGB)
    content = turned(kind, orientation)
    image = decode_color_image(content, 'x')
    assert image.shape == shown.shape
    assert decode_image_size(content, 'x') == shown.shape[:2]
    tolerance = 4 if kind == 'JPEG' else 0.001
    difference = np.abs(image[..., ::-1].astype(int) - shown)
    assert difference.mean() < tolerance


@pytest.mark.parametrize('order', ['II', 'MM'])
def test_orientation_of_deep_and_float_tiff(order):
    """OpenCV turns neither, or wrongly."""
    for array in (
        RGB[..., 0].astype(np.uint16) * 257,
        RGB[..., 0].astype(np.float32) / 255,
    ):
        exif = Image.Exif()
        exif[0x0112] = 6
        mode = 'F' if array.dtype == np.float32 else 'I;16'
        if order == 'MM' and mode == 'I;16':
            mode, array = 'I;16B', array.astype('>u2')
        image = Image.frombytes(mode, (WIDTH, HEIGHT), array.tobytes())
        content = encode(image, 'TIFF', tiffinfo=exif)
        found = decode_color_image(content, 'x')[..., 0]
        assert np.array_equal(found, np.rot90(RGB[..., 0], -1))


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize(
    ('top', 'bits'),
    [(255, 8), (1000, 10), (4095, 12), (9999, 14), (65535, 16)],
)
def test_deep_images_are_scaled_by_the_range_they_reach(suffix, top, bits):
    array = np.linspace(0, top, 24 * 40).reshape(24, 40).round()
    content = cv2.imencode(suffix, array.astype(np.uint16))[1].tobytes()
    decoded = decode_image(content, 'x')
    expected = np.rint(array * 255 / (2**bits - 1))
    assert np.array_equal(decoded.pixels, np.dstack([expected] * 3))
    assert f'{bits}-bit' in decoded.note
    assert f'{top}' in decoded.note


def test_a_png_that_states_its_bits():
    array = np.full((8, 8), 100, np.uint16)
    content = cv2.imencode('.png', array)[1].tobytes()
    chunk = b'sBIT' + bytes([12])
    body = len(chunk[4:]).to_bytes(4, 'big') + chunk
    body += zlib.crc32(chunk).to_bytes(4, 'big')
    end = content.index(b'IDAT') - 4
    decoded = decode_image(content[:end] + body + content[end:], 'x')
    assert decoded.pixels.max() == round(100 * 255 / 4095)
    assert '12-bit, as its header says' in decoded.note


@pytest.mark.parametrize(('top', 'scale'), [(1.0, 255), (0.5, 255), (200, 1)])
def test_float_tiff(top, scale):
    array = np.linspace(0, top, 64, dtype=np.float32).reshape(8, 8)
    decoded = decode_image(cv2.imencode('.tif', array)[1].tobytes(), 'x')
    assert np.array_equal(decoded.pixels[..., 0], np.rint(array * scale))
    assert 'floats are read as 0..' in decoded.note


@pytest.mark.parametrize('low_top', [(-1, 1), (0, 3000), (0, np.nan)])
def test_floats_without_a_known_range(low_top):
    array = np.linspace(*low_top, 64, dtype=np.float32).reshape(8, 8)
    content = cv2.imencode('.tif', array)[1].tobytes()
    message = r'm\.tif holds floats.*expected 0\.\.1'
    with pytest.raises(ValueError, match=message):
        decode_image(content, 'm.tif')


def test_more_pixels_than_pillow_allows(monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    content = encode(Image.fromarray(RGB), 'PNG')
    assert decode_image_size(content, 'x') == (HEIGHT, WIDTH)
    assert decode_color_image(content, 'x').shape == (HEIGHT, WIDTH, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_errors_of_the_decoder_name_the_file(monkeypatch):
    def fail(*args, **kwargs):
        raise cv2.error('too many pixels')

    monkeypatch.setattr(cv2, 'imdecode', fail)
    with pytest.raises(ValueError, match=r'big\.png is damaged'):
        decode_color_image(WHOLE['png'], 'big.png')


def test_cmyk_tiff():
    content = encode(Image.fromarray(RGB).convert('CMYK'), 'TIFF')
    image = decode_color_image(content, 'x')
    assert np.abs(image[..., ::-1].astype(int) - RGB).max() <= 2


def test_heic():
    pillow_heif = pytest.importorskip('pillow_heif')
    pillow_heif.register_heif_opener()
    content = encode(Image.fromarray(RGB), 'HEIF', quality=100)
    image = decode_color_image(content, 'x.heic')
    assert decode_image_size(content, 'x.heic') == (HEIGHT, WIDTH)
    assert np.abs(image[..., ::-1].astype(int) - RGB).mean() < 4


def test_heic_without_its_reader(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pillow_heif', None)
    content = b'\0\0\0\x18ftypheic' + bytes(50)
    for decode in (decode_color_image, decode_image_size):
        with pytest.raises(ValueError, match=r'p\.heic is HEIC.*\[heic\]'):
            decode(content, 'p.heic')


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
