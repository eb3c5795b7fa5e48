import json
import os

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.run_folder.store import load_images
from mmseg_weakclip.apps.wsss.inputs.classes import read_classes
from mmseg_weakclip.apps.wsss.inputs.given import estimate_sizes, read_sources
from mmseg_weakclip.apps.wsss.inputs.prepare import prepare_data
from mmseg_weakclip.apps.wsss.options import Options

ROWS = 'image,labels\na,cat\nb,dog;cat\nc,cat\nd,dog\ne,\n'


@pytest.fixture
def options(tmp_path):
    (tmp_path / 'photos/deep').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ('a.jpg', 'b.PNG', 'c.jpg', 'deep/d.jpg', 'e.jpg', 'f.jpg'):
        size = (300, 200, 3) if name == 'c.jpg' else (40, 60, 3)
        pixels = rng.integers(0, 255, size, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / 'photos' / name)
    (tmp_path / 'labels.csv').write_text(ROWS)
    return Options(
        images=str(tmp_path / 'photos'),
        labels=str(tmp_path / 'labels.csv'),
        work_dir=str(tmp_path / 'out'),
        val_share=0.25,
        max_side=150,
    )


def prepare(options, tmp_path, classes=None):
    sources = read_sources(options, classes)
    return sources, prepare_data(options, sources, tmp_path, 2).images


def test_what_the_stages_find(options, tmp_path):
    sources, entries = prepare(options, tmp_path)
    data = tmp_path / 'data'
    assert load_images(tmp_path) == entries
    by_id = {entry.id: entry for entry in entries}
    assert by_id['c'].size[1] == 100
    assert by_id['c'].original_size[1] == 200
    assert by_id['d'].source == 'deep/d.jpg'
    assert {e.id for e in entries if e.split == 'unlabelled'} == {'e', 'f'}
    lists = {
        path.stem: path.read_text().split() for path in data.glob('*.txt')
    }
    assert len(lists['val']) == 1
    assert sorted(lists['train'] + lists['val']) == [
        'a.jpg', 'b.png', 'c.jpg', 'd.jpg'
    ]  # fmt: skip
    assert sorted(lists['all']) == sorted(
        path.name for path in (data / 'images').iterdir()
    )
    labels = json.loads((data / 'image_labels.json').read_text())
    assert labels['classes'] == ['cat', 'dog']
    assert labels['labels']['b'] == ['cat', 'dog']
    assert set(labels['labels']) == {'a', 'b', 'c', 'd'}


def test_what_is_gone_goes_and_what_is_touched_is_the_same(options, tmp_path):
    prepare(options, tmp_path)
    index = (tmp_path / 'data/index.json').read_bytes()
    os.utime(tmp_path / 'photos/a.jpg', (1, 1))
    prepare(options, tmp_path)
    assert (tmp_path / 'data/index.json').read_bytes() == index
    (tmp_path / 'photos/f.jpg').unlink()
    prepare(options, tmp_path)
    assert not (tmp_path / 'data/images/f.jpg').is_symlink()


def test_damaged_images(options, tmp_path):
    for name in ('a.jpg', 'f.jpg'):
        (tmp_path / 'photos' / name).write_bytes(b'\xff\xd8\xff')
    with pytest.raises(UserError, match=r'2 files .*a\.jpg.*--skip-damaged'):
        prepare(options, tmp_path)
    assert not (tmp_path / 'data/index.json').exists()
    options = Options.from_json(dict(options.to_json(), skip_damaged=True))
    _, entries = prepare(options, tmp_path)
    assert {entry.id for entry in entries} == {'b', 'c', 'd', 'e'}


def test_truth_goes_into_its_own_folder(options, tmp_path):
    (tmp_path / 'masks').mkdir()
    for name in ('a', 'c'):
        size = (300, 200) if name == 'c' else (40, 60)
        mask = Image.fromarray(np.full(size, 2, np.uint8))
        mask.save(tmp_path / 'masks' / f'{name}.png')
    options = Options.from_json(
        dict(options.to_json(), truth=str(tmp_path / 'masks'))
    )
    with pytest.raises(UserError, match='--truth needs --classes'):
        prepare(options, tmp_path)
    _, entries = prepare(options, tmp_path, read_classes('cat,dog'))
    assert {e.id for e in entries if e.truth} == {'a', 'c'}
    # Validation is taken from images that can be scored.
    (val,) = (entry for entry in entries if entry.split == 'val')
    assert val.truth
    # Nothing that training reads is in that folder, or names it.
    for path in (tmp_path / 'data').glob('*.txt'):
        assert 'truth' not in path.read_text()
    # Without the option they are gone.
    options = Options.from_json(dict(options.to_json(), truth=None))
    prepare(options, tmp_path)
    assert not list((tmp_path / 'data/truth').iterdir())


def test_a_plan_without_decoding(options, tmp_path):
    sources = read_sources(options, None)
    (tmp_path / 'photos/f.jpg').write_bytes(b'')
    entries = estimate_sizes(sources, options)
    sizes = {entry.id: entry.size for entry in entries}
    assert sizes['a'] == (40, 60)
    assert sizes['c'] == (150, 100)


def test_the_bar_comes_to_its_end(options, tmp_path, capsys):
    prepare(options, tmp_path)
    assert '100%' in capsys.readouterr().err
