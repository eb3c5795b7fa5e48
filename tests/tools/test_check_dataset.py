import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.datasets.labels.image_labels import ImageLabels

CONFIG = """
default_scope = 'mmseg'
custom_imports = dict(imports=['mmseg_weakclip'], allow_failed_imports=False)
root = {root!r}
labels = dict(type='LoadImageLabels', ann_file=root + '/labels.json')
common = dict(
    type='WeakSegDataset',
    data_root=root,
    metainfo=dict(classes=('background', 'cat', 'dog')),
)
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_prefix=dict(img_path='images', seg_map_path='seeds'),
        pipeline=[dict(type='LoadColorImage'), labels, dict(type='LoadSeed')],
        **common,
    ),
)
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_prefix=dict(img_path='images', seg_map_path='truth'),
        pipeline=[
            dict(type='LoadColorImage'),
            labels,
            dict(type='LoadTruthIfPresent'),
        ],
        test_mode=True,
        **common,
    ),
)
"""


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('check_dataset.py')


@pytest.fixture
def root(tmp_path):
    for folder in ('images', 'seeds', 'truth'):
        (tmp_path / folder).mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        image = rng.integers(0, 256, (10, 12, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / f'images/{i}.jpg')
        mask = np.full((10, 12), 1 + i % 2, np.uint8)
        for folder in ('seeds', 'truth'):
            Image.fromarray(mask).save(tmp_path / f'{folder}/{i}.png')
    labels = {str(i): (i % 2,) for i in range(4)}
    ImageLabels(('cat', 'dog'), labels, '').save(tmp_path / 'labels.json')
    (tmp_path / 'config.py').write_text(CONFIG.format(root=str(tmp_path)))
    return tmp_path


def run(tool, root, *arguments: str) -> int:
    return tool.main(
        [str(root / 'config.py'), '--num-workers', '0', *arguments]
    )


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('extent', ['--full', '--quick'])
def test_good_data(tool, root, split, extent, capsys):
    assert run(tool, root, '--split', split, extent) == 0
    assert 'No problem found' in capsys.readouterr().out


def test_errors_give_exit_code_1(tool, root, capsys):
    (root / 'seeds/2.png').unlink()
    (root / 'images/3.jpg').write_bytes(b'no image')
    assert run(tool, root) == 1
    printed = capsys.readouterr().out
    assert 'missing-seed          1x' in printed
    assert 'seeds/2.png' in printed
    assert 'unreadable-image      1x' in printed
    assert 'images/3.jpg' in printed


def test_quick_decodes_no_image(tool, root):
    path = root / 'images/3.jpg'
    path.write_bytes(path.read_bytes()[:-30])
    assert run(tool, root, '--quick') == 0
    assert run(tool, root, '--full') == 1
    assert run(tool, root) == 1


def test_warnings_give_exit_code_0(tool, root, capsys):
    Image.new('L', (12, 10), 2).save(root / 'truth/0.png')
    assert run(tool, root, '--split', 'val') == 0
    assert 'truth-not-in-labels' in capsys.readouterr().out


def test_training_split_never_opens_truth(tool, root):
    for path in (root / 'truth').iterdir():
        path.write_bytes(b'no image')
    assert run(tool, root) == 0
    assert run(tool, root, '--split', 'val') == 1


def test_offenders_shown(tool, root, capsys):
    for path in (root / 'seeds').iterdir():
        path.unlink()
    assert run(tool, root, '--shown', '1') == 1
    assert '... and 3 more' in capsys.readouterr().out


def test_data_set_that_cannot_be_built(tool, root, capsys):
    (root / 'seeds').rename(root / 'moved')
    assert run(tool, root) == 1
    printed = capsys.readouterr().out
    assert 'finds no seeds' in printed
    moved = 'train_dataloader.dataset.data_prefix.seg_map_path=moved'
    assert run(tool, root, '--cfg-options', moved) == 0


def test_split_without_loader(tool, root):
    with pytest.raises(SystemExit, match='no test_dataloader'):
        run(tool, root, '--split', 'test')


def test_as_a_script_with_processes(repo, root):
    (root / 'seeds/1.png').unlink()
    done = subprocess.run(
        [
            sys.executable,
            str(repo / 'tools/check_dataset.py'),
            str(root / 'config.py'),
            '--num-workers=2',
        ],
        env={'PYTHONPATH': str(repo), 'PATH': '/usr/bin:/bin'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert 'seeds/1.png does not exist' in done.stdout
    assert '4/4' in done.stderr
