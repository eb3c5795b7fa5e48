"""Pictures of predictions: the hook of every config, on its own classes."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, HOOKS, VISUALIZERS
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_weakclip.common.masks import label_colors

HEIGHT = 24


@pytest.fixture
def cfg(any_config, configs):
    return Config.fromfile(configs / any_config)


@pytest.fixture
def hook(any_config, cfg, tmp_path):
    """The hook as --show-dir sets it, with the visualizer of the config."""
    name = f'{tmp_path}/{any_config}'
    cfg.visualizer.update(name=name, save_dir=str(tmp_path))
    VISUALIZERS.build(cfg.visualizer)
    cfg.default_hooks.visualization.update(draw=True, interval=1)
    return HOOKS.build(cfg.default_hooks.visualization)


def test_hook_paints_every_class(cfg, hook, tmp_path):
    """A class without a name or a colour would be an error here."""
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if loader is None:
        # A training on captions alone: nothing is predicted.
        assert not cfg.get('test_cfg')
        assert not cfg.get('val_cfg')
        return
    meta = DATASETS.get(loader.dataset.type).METAINFO
    if not meta.get('classes'):
        # A user's own, whose colours the data set chooses.
        classes = loader.dataset.metainfo.classes
        meta = dict(classes=classes, palette=label_colors(len(classes)))
    hook._visualizer.dataset_meta = meta
    number = len(meta['classes'])
    image = np.full((HEIGHT, 2 * number, 3), 100, np.uint8)
    path = tmp_path / 'one.png'
    Image.fromarray(image).save(path)
    ids = torch.arange(number).repeat_interleave(2).expand(1, HEIGHT, -1)
    truth = ids.clone()
    truth[:, : HEIGHT // 2] = 255
    samples = []
    for with_truth in (True, False):
        sample = SegDataSample(
            metainfo=dict(img_path=str(path)),
            pred_sem_seg=PixelData(data=ids),
        )
        if with_truth:
            sample.gt_sem_seg = PixelData(data=truth)
        samples.append(sample)
    hook.after_test_iter(None, 0, {}, samples)
    with_truth, without = sorted(
        (Image.open(p) for p in tmp_path.rglob('test_one*')),
        key=lambda picture: -picture.width,
    )
    assert with_truth.size == (4 * number, HEIGHT)
    assert without.size == (2 * number, HEIGHT)
    # Half image, half colour, where no name lies over it: the last row.
    palette = np.asarray(meta['palette'])
    painted = np.asarray(without)[-1, 1::2].astype(int)
    expected = (100 * (1 - hook._visualizer.alpha)) + (
        palette * hook._visualizer.alpha
    )
    close = (abs(painted - expected) <= 2).all(1)
    assert close.mean() > 0.5
