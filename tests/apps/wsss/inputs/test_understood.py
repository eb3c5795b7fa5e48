import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.inputs import images
from mmseg_weakclip.apps.wsss.inputs.classes import read_classes
from mmseg_weakclip.apps.wsss.inputs.given import read_sources
from mmseg_weakclip.apps.wsss.inputs.prepare import prepare_data
from mmseg_weakclip.apps.wsss.inputs.understood import (
    describe_prepared,
    describe_sources,
)
from mmseg_weakclip.apps.wsss.options import Options
from mmseg_weakclip.apps.wsss.plan import describe_plan
from mmseg_weakclip.apps.wsss.stages import stages_of
from mmseg_weakclip.datasets.held_out import held_out_ids

ROWS = 'image,by,labels\n' + ''.join(
    f'{name},me,{labels}\n'
    for name, labels in (
        ('a', 'cat'), ('b', 'dog;cat'), ('c', 'Cat'), ('d', 'dog'),
        ('e', 'none'), ('z1', 'cat'), ('z2', 'dog'),
    )
)  # fmt: skip


@pytest.fixture
def options(tmp_path):
    folder = tmp_path / 'photos'
    (folder / 'deep').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ('a.jpg', 'b.PNG', 'c.jpg', 'deep/d.jpg', 'e.jpg', 'f.jpg'):
        size = (300, 200, 3) if name == 'c.jpg' else (40, 60, 3)
        pixels = rng.integers(0, 255, size, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    for name in ('g.GIF', 'h.gif', 'raw.CR2', 'notes.txt'):
        (folder / name).write_bytes(b'x')
    (tmp_path / 'labels.csv').write_text(ROWS)
    return Options(
        images=str(folder),
        labels=str(tmp_path / 'labels.csv'),
        work_dir=str(tmp_path / 'out'),
        max_side=150,
    )


def understood(options, classes=None):
    names = read_classes(classes) if classes else None
    lines = describe_sources(read_sources(options, names), options)
    return '\n'.join(lines)


def prepared(options, tmp_path, classes=None):
    names = read_classes(classes) if classes else None
    sources = read_sources(options, names)
    done = prepare_data(options, sources, tmp_path / 'out', 2)
    return done, '\n'.join(describe_prepared(sources, done))


def test_everything_is_said(options):
    text = understood(options)
    assert 'read as table with several names in a cell' in text
    assert "images in column 'image', labels in 'labels'" in text
    assert "columns that are not read: 2 ('by')" in text
    assert "read as no label: 'none' (1x)" in text
    assert 'one class each, spelled in several ways: cat (Cat)' in text
    assert 'for example b: dog, cat' in text
    assert 'images: 6, 4 to train on, 0 kept for validation, 2 without' in text
    assert '1 image not in the labels: f.jpg' in text
    assert 'in the labels without a class: e.jpg' in text
    assert '2 images in the labels but not in the folder: z1, z2' in text
    assert '2 .gif files not read: g.GIF, h.gif; convert' in text
    assert '1 .cr2 file not read: raw.CR2' in text
    assert '1 other file among the images: notes.txt' in text
    assert 'no image is kept for validation' in text
    assert 'classes: 2, with training images: cat 3, dog 2' in text
    assert 'fewer than 5 training images show cat (3), dog (2)' in text


def test_heic_without_its_reader(options, tmp_path, monkeypatch):
    for number in range(4):
        (tmp_path / f'photos/IMG_{number}.HEIC').write_bytes(b'x')
    monkeypatch.setattr(images, 'heif_is_read', lambda: False)
    text = understood(options)
    listed = 'IMG_0.HEIC, IMG_1.HEIC, IMG_2.HEIC, ...'
    assert f'4 .heic files not read: {listed}; pip install' in text
    assert 'images: 6,' in text
    monkeypatch.setattr(images, 'heif_is_read', lambda: True)
    assert 'images: 10,' in understood(options)


def test_a_class_without_images(options):
    assert 'no training image shows bird, which' in understood(
        options, 'cat,dog,bird'
    )


def test_validation_is_kept_where_masks_are_or_where_it_is_asked_for(
    options, tmp_path
):
    assert '0 kept for validation' in understood(options)
    asked = replace(options, val_share=0.3)
    assert '1 kept for validation' in understood(asked)
    (tmp_path / 'masks').mkdir()
    for name in 'abcd':
        size = (300, 200) if name == 'c' else (40, 60)
        mask = Image.fromarray(np.ones(size, np.uint8))
        mask.save(tmp_path / f'masks/{name}.png')
    scored = replace(options, truth=str(tmp_path / 'masks'))
    assert '1 kept for validation' in understood(scored, 'cat,dog')
    _, text = prepared(scored, tmp_path, 'cat,dog')
    assert '1 class in no mask of --truth, and so without a score: dog' in text


@pytest.mark.parametrize('values', [(0, 255), (0,), (255,)])
def test_masks_that_show_no_class(options, tmp_path, values):
    """255 is 'ignored', which people who write it for 'object' overlook."""
    (tmp_path / 'masks').mkdir()
    mask = np.resize(np.array(values, np.uint8), (40, 60))
    Image.fromarray(mask).save(tmp_path / 'masks/a.png')
    options = replace(options, truth=str(tmp_path / 'masks'))
    message = r'no mask of --truth shows a class.*write 1 where 255 means cat'
    with pytest.raises(UserError, match=message):
        prepared(options, tmp_path, 'cat,dog')


def test_what_is_not_plain_is_kept_as_png(options, tmp_path):
    folder = tmp_path / 'photos'
    deep = np.tile(np.linspace(0, 4095, 60).astype(np.uint16), (40, 1))
    cv2.imwrite(str(folder / 'a.png'), deep)
    (folder / 'a.jpg').unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (60, 40), 'red').save(folder / 'f.tif', tiffinfo=exif)
    (folder / 'f.jpg').unlink()
    done, text = prepared(options, tmp_path)
    files = {image.id: image for image in done.images}
    assert files['a'].file == 'images/a.png'
    assert files['f'].file == 'images/f.png'
    assert files['f'].size == (60, 40)
    kept = cv2.imread(str(tmp_path / 'out/data/images/a.png'), -1)
    assert kept.dtype == np.uint8
    assert kept.max() == 255
    assert 'a.png: 16-bit values are read as 12-bit' in text
    assert '1 large image reduced' in text


def test_a_dead_link(options, tmp_path):
    os.symlink(tmp_path / 'gone.jpg', tmp_path / 'photos/link.jpg')
    with pytest.raises(UserError, match=r'link\.jpg: is a dead link'):
        prepared(options, tmp_path)
    _, text = prepared(replace(options, skip_damaged=True), tmp_path)
    assert '1 file cannot be used and is skipped' in text
    assert 'link.jpg' in text
    assert 'images: 6' in text


def test_what_would_be_faster_on_a_cpu(make_run):
    def advice(**options):
        plan = describe_plan(make_run(**options), stages_of('excel'))
        return [line for line in plan if 'on the CPU' in line]

    (line,) = advice()
    assert line.endswith(
        'faster: a GPU, --clip-size 224, --segmenter fpn_small, '
        '--segmenter-size 256, --iterations 1000'
    )
    (line,) = advice(
        clip_size=224,
        segmenter='fpn_small',
        segmenter_size=256,
        iterations=9,
    )
    assert line.endswith('faster: a GPU')
    # A small CLIP needs no advice.
    assert advice(clip='toyclip') == []


def test_classes_that_a_classifier_cannot_learn(options):
    """Labels everywhere, and those that only held-out images have."""
    names = [f'p{i:02}' for i in range(20)]
    held_out = sorted(held_out_ids(names, 0.1))
    folder = Path(options.images)
    for old in folder.rglob('*.*'):
        old.unlink()
    for name in names:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(
            folder / f'{name}.png'
        )
    rows = [
        f'{name},wall;{"crack" if name in held_out else "door"}'
        for name in names
    ]
    Path(options.labels).write_text('\n'.join(['image,labels', *rows]))
    said = understood(replace(options, method='cam'))
    assert 'every training image shows wall, so a classifier cannot' in said
    assert '2 training images of crack, held out to check the cl' in said
    assert 'of door, held out' not in said
    other = understood(options)
    assert 'a classifier cannot learn' not in other
