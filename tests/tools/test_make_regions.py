import json

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.commands import make_regions
from mmseg_weakclip.apps.commands.make_regions import main, make_generator
from mmseg_weakclip.common.region_files import read_regions


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / 'photos'
    folder.mkdir()
    for name in ('a.jpg', 'b.png', 'c.jpg'):
        blocks = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((48, 36), 0).save(folder / name)
    (folder / 'notes.txt').write_text('no image')
    return folder


@pytest.fixture
def run(tmp_path, photos):
    def run(*words):
        folders = '--images', str(photos), '--out', str(tmp_path / 'out')
        return main([*folders, *words])

    return run


@pytest.mark.parametrize('generator', ['slic', 'felzenszwalb'])
@pytest.mark.parametrize('workers', ['1', '2'])
def test_makes_and_goes_on(tmp_path, photos, run, capsys, generator, workers):
    words = '--generator', generator, '--workers', workers
    assert run(*words) == 0
    assert '3 of 3 images done, 0 were there' in capsys.readouterr().out
    out = tmp_path / 'out'
    assert {path.name for path in out.iterdir()} == {
        'a.json', 'b.json', 'c.json', 'settings.json',
    }  # fmt: skip
    found = read_regions(out / 'b.json', photos / 'b.png')
    assert found.masks.shape[1:] == (36, 48)
    assert (found.masks.sum(0) == 1).all()
    (out / 'b.json').unlink()
    before = (out / 'a.json').stat().st_mtime_ns
    assert run(*words) == 0
    assert '1 of 1 images done, 2 were there' in capsys.readouterr().out
    assert (out / 'a.json').stat().st_mtime_ns == before


def test_other_settings_are_refused(run):
    run()
    with pytest.raises(SystemExit, match=r'"count": 150.*now it is'):
        run('--count', '9')


def test_settings_are_told(tmp_path, run):
    run('--count', '9', '--max-side', '24')
    settings = json.loads((tmp_path / 'out/settings.json').read_text())
    assert settings == dict(generator='slic', max_side=24, count=9)
    content = json.loads((tmp_path / 'out/a.json').read_text())
    assert json.loads(content['generator']) == settings


def test_damaged_photos_are_told(photos, run, capsys):
    (photos / 'a.jpg').write_bytes((photos / 'a.jpg').read_bytes()[:-40])
    assert run() == 1
    out = capsys.readouterr().out
    assert '2 of 3 images done, 0 were there; 1 failed' in out
    assert 'a.jpg' in out


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--images', 'nowhere'), 'nowhere is not a folder'),
        (('--generator', 'hf'), '--generator hf needs --model'),
        (('--generator', 'sam'), '--generator sam needs --weights'),
        (('--scale', '9'), '--scale 9.0 is no option of --generator slic'),
        (('--weights', 'x'), '--weights x is no option of --generator slic'),
        (('--count', '0'), '--count 0 must be positive'),
        (('--max-side', '-1'), '--max-side -1 must be positive'),
        (('--workers', '0'), '--workers 0 must be positive'),
    ],
)
def test_mistakes(run, words, message):
    with pytest.raises(SystemExit, match=message):
        run(*words)


def test_nothing_is_begun_without_weights(tmp_path, run):
    pytest.importorskip('segment_anything')
    with pytest.raises(ValueError, match='gone.pth of SAM do not exist'):
        run('--generator', 'sam', '--weights', 'gone.pth')
    assert not (tmp_path / 'out').exists()


def test_photos_in_subfolders(tmp_path, photos, run, capsys):
    (photos / 'more').mkdir()
    (photos / 'a.jpg').rename(photos / 'more/a.jpg')
    assert run() == 0
    assert '3 of 3 images done' in capsys.readouterr().out
    assert read_regions(tmp_path / 'out/a.json', photos / 'more/a.jpg')


def test_hidden_files_are_passed_over(photos, run, capsys):
    """Such as those that a Mac leaves beside each photo."""
    (photos / '.thumbs').mkdir()
    for name in ('._a.jpg', '.thumbs/a.jpg'):
        (photos / name).write_bytes(b'no photo')
    assert run() == 0
    assert '3 of 3 images done' in capsys.readouterr().out


def test_areas_are_those_of_the_masks(tmp_path, run):
    run('--count', '9')
    path = tmp_path / 'out/a.json'
    content = json.loads(path.read_text())
    areas = [region['area'] for region in content['regions']]
    assert areas == read_regions(path).masks.sum((1, 2)).tolist()


def test_a_photo_that_is_too_large(tmp_path, run, capsys, monkeypatch):
    """It is named, and the others are done."""

    def find(pixels, count):
        if not pixels[0, 0].any():
            raise MemoryError
        return np.zeros(pixels.shape[:2], int)

    Image.new('RGB', (48, 36)).save(tmp_path / 'photos/dark.png')
    monkeypatch.setattr(make_regions, 'slic_regions', find)
    make_generator.cache_clear()
    assert run() == 1
    out = capsys.readouterr().out
    assert '3 of 4 images done' in out
    assert 'dark.png: its 48 x 36 pixels take more memory than' in out
    make_generator.cache_clear()


def test_two_images_of_one_name(photos, run):
    (photos / 'a.png').write_bytes((photos / 'b.png').read_bytes())
    with pytest.raises(SystemExit, match='several images of one name: a'):
        run()


@pytest.mark.parametrize('generator', ['slic', 'felzenszwalb'])
def test_nothing_is_begun_without_scikit_image(
    tmp_path, run, monkeypatch, generator
):
    monkeypatch.setattr(
        'mmseg_weakclip.pseudo_masks.region_generators.find_spec',
        lambda name: None,
    )
    make_generator.cache_clear()
    with pytest.raises(ImportError, match=r'mmseg_weakclip\[segclip\]'):
        run('--generator', generator)
    assert not (tmp_path / 'out').exists()
