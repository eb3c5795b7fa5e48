"""Pictures and curves of trainings and tests."""

import shutil
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

PICTURES = (
    'default_hooks.visualization.draw=True',
    'default_hooks.visualization.interval=1',
)
WITHOUT_TRUTH = 'val_00001'
TRAIN_ONCE = (
    'train_cfg.max_iters=1',
    'val_cfg=None',
    'val_dataloader=None',
    'val_evaluator=None',
)
OWN_CONFIG = """
_base_ = {base!r}
visualizer = dict(vis_backends=[
    dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
"""


@pytest.fixture
def data(world, tmp_path) -> Path:
    """The world, one image of it without truth."""
    root = tmp_path / 'toyland'
    shutil.copytree(world / 'data/toyland', root)
    (root / f'SegmentationClass/{WITHOUT_TRUTH}.png').unlink()
    return root


@pytest.mark.parametrize('config', ['weakclip.py', 'segclip.py'])
def test_training_paints_its_validation(config, data, tmp_path, run_tool):
    run_tool(
        'train',
        config,
        *('--work-dir', tmp_path / 'work'),
        options=(
            *PICTURES,
            'train_cfg.max_iters=1',
            'train_cfg.val_interval=1',
            f'train_dataloader.dataset.data_root={data}',
            f'val_dataloader.dataset.data_root={data}',
            'val_dataloader.batch_size=1',
        ),
    )
    widths = {}
    for path in (tmp_path / 'work').rglob('vis_image/val_*'):
        picture, name = cv2.imread(str(path)), path.name[4:13]
        image = cv2.imread(str(data / f'JPEGImages/{name}.jpg'))
        widths[name] = picture.shape[1] / image.shape[1]
        assert picture.shape[0] == image.shape[0]
    # Truth beside the prediction, where there is truth.
    assert len(widths) == 5
    assert widths.pop(WITHOUT_TRUTH) == 1
    assert set(widths.values()) == {2}


@pytest.mark.parametrize('config', ['seeds.py', 'zero_shot.py'])
def test_show_dir_without_training(config, data, tmp_path, run_tool):
    options = [
        f'test_dataloader.dataset.data_root={data}',
        'test_dataloader.dataset.ann_file=ImageSets/Segmentation/val.txt',
    ]
    if config == 'seeds.py':
        options += [
            f'test_evaluator.output_dir={tmp_path / "seeds"}',
            'test_evaluator.workers=0',
        ]
    shown = tmp_path / 'shown'
    run_tool(
        'test',
        config,
        *('--work-dir', tmp_path / 'work', '--show-dir', shown),
        options=options,
    )
    pictures = {
        path.name[5:14]: cv2.imread(str(path))
        for path in shown.rglob('test_*')
    }
    assert len(pictures) == 5
    for name, picture in pictures.items():
        image = cv2.imread(str(data / f'JPEGImages/{name}.jpg'))
        predicted = picture[:, -image.shape[1] :]
        assert predicted.shape == image.shape
        assert not np.array_equal(predicted, image)
        sides = 1 if name == WITHOUT_TRUTH else 2
        assert picture.shape[1] == sides * image.shape[1]


@pytest.fixture
def run_with_tensorboard(run_tool, tmp_path):
    """A training of one iteration with --tensorboard."""

    def run(config='weakclip.py'):
        return run_tool(
            'train',
            config,
            *('--work-dir', tmp_path / 'work', '--tensorboard'),
            options=TRAIN_ONCE,
        )

    return run


def test_tensorboard_gets_the_losses(
    repo, tmp_path, monkeypatch, run_with_tensorboard
):
    seen, folders = {}, []

    class SummaryWriter:
        """Stands for TensorBoard's, which need not be installed."""

        def __init__(self, folder):
            folders.append(folder)

        def add_scalar(self, name, value, step):
            seen[name] = step

        def add_text(self, *args):
            pass

        def close(self):
            pass

    module = ModuleType('torch.utils.tensorboard')
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, module.__name__, module)
    # A config may have it already: once is enough.
    base = repo / 'configs/toyland/weakclip.py'
    own = tmp_path / 'own.py'
    own.write_text(OWN_CONFIG.format(base=str(base)))
    for config in (base, own):
        seen.clear()
        folders.clear()
        runner = run_with_tensorboard(config)
        assert seen['loss'] == 1
        assert len(folders) == 1
        assert folders[0].startswith(runner.log_dir)
        # What there was before stays.
        assert (Path(runner.log_dir) / 'vis_data/scalars.json').exists()


def test_tensorboard_leaves_event_files(tmp_path, run_with_tensorboard):
    pytest.importorskip('tensorboard', reason='tensorboard is not installed')
    run_with_tensorboard()
    assert list((tmp_path / 'work').rglob('events.out.tfevents*'))


def test_missing_tensorboard_is_named(
    monkeypatch, capsys, run_with_tensorboard
):
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    with pytest.raises(SystemExit) as error:
        run_with_tensorboard()
    assert error.value.code == 2
    assert "pip install -e '.[tensorboard]'" in capsys.readouterr().err
