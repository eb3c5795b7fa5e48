import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.common.images import decode_color_image
from mmseg_weakclip.datasets.captions.shards import read_shard


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('dataset_converters/caption_shards.py')


@pytest.fixture
def place(tmp_path):
    """Four images, six captions, and a config."""
    rng = np.random.default_rng(0)
    texts = {
        'x.jpg': ['one', 'two', 'three'],
        'y.jpeg': ['four'],
        'z.bmp': ['fünf'],
        'v.1.png': ['six'],
    }
    for name in texts:
        image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / name)
    (tmp_path / 'captions.json').write_text(json.dumps(texts))
    for captions in ('each', 'one'):
        dataset = dict(
            type='CaptionDataset',
            data_root=str(tmp_path),
            ann_file='captions.json',
            captions=captions,
        )
        (tmp_path / f'{captions}.py').write_text(
            f'train_dataloader = dict(dataset={dataset!r})\n'
        )
    return tmp_path


def run(tool, place, *arguments, config='each.py', out='tars'):
    tool.main(
        [
            str(place / config),
            '--out',
            str(place / out),
            '--samples-per-shard',
            '4',
            *arguments,
        ]
    )
    paths = sorted((place / out).iterdir())
    assert [path.name for path in paths] == ['00000.tar', '00001.tar']
    return [sample for path in paths for sample in read_shard(str(path))]


@pytest.mark.parametrize('config', ['each.py', 'one.py'])
@pytest.mark.parametrize('workers', ['0', '2'])
def test_every_caption_is_a_sample(tool, place, capsys, config, workers):
    samples = run(tool, place, '--workers', workers, config=config)
    assert '6 captions in 2 shards' in capsys.readouterr().out
    assert [s.key for s in samples] == [f'{i:09d}' for i in range(6)]
    assert not any(sample.problem for sample in samples)
    by_text = {sample.caption: sample for sample in samples}
    files = dict(one='x.jpg', four='y.jpeg', fünf='z.bmp', six='v.1.png')
    for text, file in files.items():
        image = decode_color_image((place / file).read_bytes(), file)
        found = decode_color_image(by_text[text].image, text)
        assert np.array_equal(found, image)
    assert by_text['one'].image == by_text['two'].image
    # Files of COCO's order come mixed.
    texts = [sample.caption for sample in samples]
    assert sorted(texts) == sorted([*files, 'two', 'three'])
    assert texts != ['one', 'two', 'three', 'four', 'fünf', 'six']


def test_files_are_as_img2dataset_writes_them(tool, place):
    run(tool, place, '--workers', '0')
    with tarfile.open(place / 'tars/00000.tar') as tar:
        names = tar.getnames()
        key = names[0].split('.')[0]
        meta = json.loads(tar.extractfile(f'{key}.json').read())
        text = tar.extractfile(f'{key}.txt').read().decode()
    assert meta['caption'] == text
    assert meta['key'] == key
    assert {name.split('.')[1] for name in names} >= {'json', 'txt'}


def test_equal_seeds_make_equal_files(tool, place):
    for out, seed in (('a', '0'), ('b', '0'), ('c', '1')):
        run(tool, place, '--workers', '0', '--seed', seed, out=out)
    first, second, third = (
        [p.read_bytes() for p in sorted((place / out).iterdir())]
        for out in 'abc'
    )
    assert first == second != third


def test_short_side(tool, place):
    samples = run(tool, place, '--workers', '0', '--short-side', '20')
    for sample in samples:
        assert sample.image_key == 'jpg'
        assert decode_color_image(sample.image, '').shape == (20, 30, 3)
    # Smaller images stay as they are.
    samples = run(
        tool, place, '--workers', '0', '--short-side', '40', out='whole'
    )
    assert {s.image_key for s in samples} == {'jpg', 'jpeg', 'png'}


def test_nothing_half_done_is_left_under_the_name(tool, place):
    (place / 'z.bmp').write_bytes(b'no image')
    with pytest.raises(SystemExit, match=r'z\.bmp is damaged'):
        run(tool, place, '--workers', '0')
    assert not (place / 'tars').exists()
    Image.new('RGB', (30, 30)).save(place / 'z.bmp')
    assert len(run(tool, place, '--workers', '0')) == 6
    assert not (place / 'tars.part').exists()
    with pytest.raises(SystemExit, match='tars is there'):
        run(tool, place, '--workers', '0')
