import dataclasses

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.wsss.inputs.copy_images import CopyTask, copy_image
from mmseg_weakclip.common.images import read_color_image
from mmseg_weakclip.common.masks import read_mask

PALETTE = ((0, 0, 0), (9, 9, 9), (8, 8, 8))


@pytest.fixture
def task(tmp_path):
    for name in ('images', 'truth'):
        (tmp_path / name).mkdir()
    return CopyTask('x', '', str(tmp_path), 100, None, PALETTE)


def save(path, size, mode='RGB', exif=None, **kwargs):
    rng = np.random.default_rng(0)
    shape = (size[1], size[0], 3) if mode == 'RGB' else size[::-1]
    kind = np.uint16 if mode == 'I;16' else np.uint8
    pixels = rng.integers(0, np.iinfo(kind).max, shape).astype(kind)
    image = Image.fromarray(pixels)
    if exif:
        kwargs['exif'] = exif
    image.save(path, **kwargs)
    return str(path)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_small_images_are_linked(task, tmp_path):
    source = save(tmp_path / 'My Cat.PNG', (60, 40))
    done = copy_image(dataclasses.replace(task, source=source))
    assert (done.file, done.size[1], done.size[0]) == ('x.png', 60, 40)
    assert (tmp_path / 'images/x.png').resolve() == tmp_path / 'My Cat.PNG'


@pytest.mark.parametrize('orientation', [1, 6, 8])
def test_large_photos_become_smaller_as_viewers_show_them(
    task, tmp_path, orientation
):
    rows, columns = np.mgrid[:200, :400]
    pixels = np.stack([rows, columns // 2, 200 - rows], -1).astype(np.uint8)
    source = str(tmp_path / 'big.jpg')
    Image.fromarray(pixels).save(source, exif=turned(orientation), quality=95)
    done = copy_image(dataclasses.replace(task, source=source))
    size = (100, 50) if orientation == 1 else (50, 100)
    assert (done.size[1], done.size[0]) == size
    assert (done.original_size[1], done.original_size[0]) == tuple(
        4 * side for side in size
    )
    small = read_color_image(str(tmp_path / 'images' / done.file))
    wanted = cv2.resize(
        read_color_image(source), size, interpolation=cv2.INTER_AREA
    )
    assert np.abs(small.astype(int) - wanted).mean() < 3


def test_a_link_of_before_is_not_written_through(task, tmp_path):
    source = save(tmp_path / 'a.jpg', (60, 40))
    before = (tmp_path / 'a.jpg').read_bytes()
    task = dataclasses.replace(task, source=source)
    copy_image(task)
    done = copy_image(dataclasses.replace(task, max_side=30))
    assert done.size[1] == 30
    assert (tmp_path / 'a.jpg').read_bytes() == before
    assert not (tmp_path / 'images/x.jpg').is_symlink()


@pytest.mark.parametrize('mode', ['L', 'I;16'])
def test_other_depths(task, tmp_path, mode):
    source = save(tmp_path / 'a.png', (40, 40), mode)
    done = copy_image(dataclasses.replace(task, source=source))
    assert not done.error
    image = read_color_image(str(tmp_path / 'images' / done.file))
    assert image.shape == (40, 40, 3)
    assert image.dtype == np.uint8


def test_damaged_files_are_named(task, tmp_path):
    (tmp_path / 'bad.jpg').write_bytes(b'no image')
    source = str(tmp_path / 'bad.jpg')
    done = copy_image(dataclasses.replace(task, source=source))
    assert 'bad.jpg' in done.error
    assert not list((tmp_path / 'images').iterdir())


def test_truth_goes_along(task, tmp_path):
    source = save(tmp_path / 'a.jpg', (400, 200), exif=turned(6))
    mask = np.zeros((400, 200), np.uint8)
    mask[:200, 100:] = 2
    mask[300:] = 255
    Image.fromarray(mask).save(tmp_path / 'a_mask.png')
    task = dataclasses.replace(
        task, source=source, truth=str(tmp_path / 'a_mask.png')
    )
    assert not copy_image(task).error
    small = read_mask(str(tmp_path / 'truth/x.png'))
    np.testing.assert_array_equal(small, mask[2::4, 2::4])


@pytest.mark.parametrize(
    ('size', 'value', 'message'),
    [
        # Drawn on the pixels as stored, not as shown.
        ((200, 400), 1, 'EXIF rotation'),
        ((400, 100), 1, '400 x 100'),
        ((400, 200), 3, r'ids \[3\]'),
    ],
)
def test_truth_that_does_not_fit(task, tmp_path, size, value, message):
    source = save(tmp_path / 'a.jpg', (400, 200), exif=turned(6))
    Image.fromarray(np.full(size, value, np.uint8)).save(tmp_path / 'm.png')
    task = dataclasses.replace(
        task, source=source, truth=str(tmp_path / 'm.png')
    )
    assert message.replace('\\', '') in copy_image(task).error
