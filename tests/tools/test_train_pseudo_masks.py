"""tools/train.py --pseudo-masks."""

import shutil

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps import cli

ONE = ['train_cfg.max_iters=1']
FPN = 'configs/segmenters/fpn-small_r18_1xb16-3k_voc12-128x128.py'
LISTS = 'ImageSets/Segmentation'


@pytest.fixture
def voc(world):
    """Toyland's images in the place of VOC's."""
    root, toyland = world / 'data/VOCdevkit/VOC2012', world / 'data/toyland'
    shutil.copytree(toyland / 'JPEGImages', root / 'JPEGImages')
    (root / LISTS).mkdir(parents=True)
    for ours, theirs in (('train', 'trainaug'), ('val', 'val')):
        shutil.copy(
            toyland / LISTS / f'{ours}.txt', root / LISTS / f'{theirs}.txt'
        )
    yield root
    shutil.rmtree(world / 'data/VOCdevkit')


@pytest.fixture
def masks(world):
    """As PseudoMaskWriter leaves them, in a folder of the working folder."""
    folder = world / 'mine'
    source = world / 'data/toyland/seeds/masks'
    shutil.copytree(source, folder / 'masks')
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize('given', ['mine', 'mine/masks', 'absolute'])
def test_toyland(run_tool, world, masks, tmp_path, given, monkeypatch):
    """Masks that are told apart from all others by their ids."""
    for path in (masks / 'masks').iterdir():
        Image.fromarray(np.full((96, 96), 7, np.uint8)).save(path)
    runner = run_tool(
        'train',
        'segmenter.py',
        '--pseudo-masks',
        masks if given == 'absolute' else given,
        '--work-dir',
        tmp_path,
        options=ONE,
    )
    dataset = runner.train_dataloader.dataset
    prefix = dataset.data_prefix
    assert prefix['seg_map_path'] == str(masks / 'masks')
    # Images are found from where the tool ran.
    monkeypatch.chdir(world)
    found = {
        i
        for x in dataset
        for i in np.unique(x['data_samples'].gt_sem_seg.data)
    }
    assert found <= {7, 255}
    # Validation still has its truth.
    folder = runner.val_dataloader.dataset.data_prefix['seg_map_path']
    assert folder.endswith('toyland/SegmentationClass')


def test_the_trial_config(repo, run_tool, voc, masks, tmp_path):
    """Trained a little and validated, on VOC's classes."""
    runner = run_tool(
        'train',
        repo / FPN,
        '--pseudo-masks',
        'mine',
        '--work-dir',
        tmp_path,
        options=[
            'train_cfg.max_iters=3',
            'train_cfg.val_interval=3',
            'default_hooks.checkpoint.interval=3',
        ],
    )
    assert runner.iter == 3
    assert (tmp_path / 'iter_3.pth').is_file()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 3
    assert np.isfinite(losses).all()


def test_missing_masks_stop_it_before_it_begins(
    repo, run_tool, voc, masks, tmp_path
):
    gone = sorted((masks / 'masks').iterdir())[2:4]
    for path in gone:
        path.unlink()
    message = rf'2 of 8 listed images \({gone[0].name}, {gone[1].name}\)'
    with pytest.raises(FileNotFoundError, match=message):
        run_tool(
            'train',
            repo / FPN,
            '--pseudo-masks',
            'mine',
            '--work-dir',
            tmp_path,
            options=ONE,
        )
    assert not list(tmp_path.glob('*.pth'))


def test_a_user_gets_one_line(
    repo, world, tool_command, voc, masks, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(world)
    gone = min((masks / 'masks').iterdir())
    gone.unlink()
    words = tool_command(
        'train', repo / FPN, '--pseudo-masks', 'mine', '--work-dir', tmp_path
    )
    assert cli.main(['train', *words[1:]]) == 2
    *_, last = capsys.readouterr().err.strip().splitlines()
    assert last.startswith('error: ')
    assert gone.name in last


@pytest.mark.parametrize(
    ('config', 'folder', 'message'),
    [
        ('segmenter.py', 'gone', 'gone does not exist'),
        ('segmenter.py', 'data/toyland/ImageSets', 'holds no *.png mask'),
        ('excel.py', 'mine', '(ToylandDataset) reads no masks'),
        ('seeds.py', 'mine', 'the config has no train_dataloader'),
    ],
)
def test_wrong_use(run_tool, masks, config, folder, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run_tool(
            'train',
            config,
            '--pseudo-masks',
            folder,
            '--work-dir',
            tmp_path,
            options=ONE,
        )
    assert stop.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert 'error: --pseudo-masks: ' in last
    assert message in last
