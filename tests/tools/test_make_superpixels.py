import json
import re

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.datasets.captions.superpixel_cache import (
    SuperpixelCache,
)

SETTINGS = dict(scale=100.0, sigma=0.5, min_size=20, short_side=24)


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('make_superpixels.py')


@pytest.fixture
def shards(load_tool):
    return load_tool('dataset_converters/caption_shards.py')


@pytest.fixture
def place(tmp_path):
    """Five images in two folders, seven captions, and a config."""
    rng = np.random.default_rng(0)
    names = ['a/x.jpg', 'b/x.jpg', 'a/y.png', 'a/z.bmp', 'b/w.jpg']
    texts = {name: [f'text of {name}'] for name in names}
    texts['a/x.jpg'] += ['more', 'still more']
    for name in names:
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((50, 40), 0).save(path)
    (tmp_path / 'captions.json').write_text(json.dumps(texts))
    transform = dict(
        type='FelzenszwalbSuperpixels',
        cache_dir=str(tmp_path / 'sp'),
        **SETTINGS,
    )
    dataset = dict(
        type='CaptionDataset',
        data_root=str(tmp_path),
        ann_file='captions.json',
        data_prefix=dict(img_path='images'),
        pipeline=[
            dict(type='LoadColorImage'),
            transform,
            dict(type='PackCaptionInputs'),
        ],
    )
    (tmp_path / 'config.py').write_text(
        f'train_dataloader = dict(dataset={dataset!r})\n'
    )
    return tmp_path


def files_in(folder):
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob('*')
        if path.is_file()
    }


@pytest.mark.parametrize('workers', ['0', '2'])
def test_fills_the_cache_and_goes_on(tool, place, capsys, workers):
    arguments = [str(place / 'config.py'), '--workers', workers]
    assert tool.main(arguments) == 0
    assert 'of 5 images found, 0 were there; 0' in capsys.readouterr().out
    made = files_in(place / 'sp')
    assert set(made) == {
        f'{name}.png'
        for name in ('a/x.jpg', 'b/x.jpg', 'a/y.png', 'a/z.bmp', 'b/w.jpg')
    }
    ids = SuperpixelCache(place / 'sp', SETTINGS).read('a/y.png', (40, 50))
    assert ids.shape == (24, 30)
    assert ids.max() > 5
    (place / 'sp/a/x.jpg.png').unlink()
    assert tool.main(arguments) == 0
    assert 'of 1 images found, 4 were there; 0' in capsys.readouterr().out
    again = files_in(place / 'sp')
    assert set(again) == set(made)
    changed = {name for name in made if made[name] != again[name]}
    assert changed == {'a/x.jpg.png'}


def test_damaged_images_are_told(tool, place, capsys):
    path = place / 'images/b/w.jpg'
    path.write_bytes(path.read_bytes()[:-50])
    (place / 'images/a/y.png').write_bytes(b'')
    assert tool.main([str(place / 'config.py'), '--workers', '0']) == 1
    out = capsys.readouterr().out
    assert 'of 3 images found, 0 were there; 2 images' in out
    assert f'{path} is a JPEG that is cut off' in out
    assert 'y.png is' in out


def test_other_parameters(tool, place):
    arguments = [str(place / 'config.py'), '--workers', '0']
    tool.main(arguments)
    options = [
        '--cfg-options',
        'train_dataloader.dataset.pipeline.1.sigma=0.9',
    ]
    with pytest.raises(SystemExit, match=r'sigma 0\.5 instead of 0\.9'):
        tool.main([*arguments, *options])
    other = 'train_dataloader.dataset.pipeline.1.cache_dir=' + str(
        place / 'other'
    )
    assert tool.main([*arguments, *options, other]) == 0


def test_configs_without_a_cache(tool, place):
    arguments = [str(place / 'config.py'), '--cfg-options']
    key = 'train_dataloader.dataset.pipeline.1'
    with pytest.raises(SystemExit, match='no FelzenszwalbSuperpixels with a'):
        tool.main([*arguments, f'{key}.cache_dir=None'])


def write_shards(shards, place, *more):
    arguments = [str(place / 'config.py'), '--out', str(place / 'tars')]
    shards.main([*arguments, '--samples-per-shard', '3', *more])


def test_shards(tool, shards, place, capsys):
    write_shards(shards, place, '--workers', '2')
    dataset = dict(
        type='WebDatasetCaptions',
        data_root=str(place),
        shards='tars/{00000..00002}.tar',
        pipeline=[
            dict(
                type='FelzenszwalbSuperpixels',
                cache_dir=str(place / 'sp'),
                **SETTINGS,
            )
        ],
    )
    config = place / 'stream.py'
    config.write_text(f'train_dataloader = dict(dataset={dataset!r})\n')
    path = place / 'tars/00002.tar'
    path.write_bytes(path.read_bytes()[:300])
    arguments = [str(config), '--workers', '2']
    for found, there in ((6, 0), (0, 6)):
        assert tool.main(arguments) == 1
        out = capsys.readouterr().out
        assert f'of {found} images found, {there} were there; 1' in out
        assert '00002.tar' in out
    made = set(files_in(place / 'sp'))
    assert len(made) == 6
    assert all(re.match(r'tars/0000[01]/0{8}\d\.\w+\.png', n) for n in made)
    # A training finds them there.
    for name in ('000000000', '000000001'):
        (found,) = (n for n in made if name in n)
        assert Image.open(place / 'sp' / found).size == (30, 24)
