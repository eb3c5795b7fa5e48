"""mmseg's inference tools on a trained toyland checkpoint."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer, inference_model, init_model
from PIL import Image

from mmseg_weakclip.toyland.objects import CLASSES

CONFIG = 'toyland/weakclip.py'
SIZE = (75, 131)
# Logits differ by the order of sums only.
CLOSE = dict(rtol=1e-4, atol=1e-4)


@pytest.fixture(scope='module')
def checkpoint(configs, worlds, tmp_path_factory):
    """Two iterations on the shipped CLIP."""
    cfg = Config.fromfile(configs / CONFIG)
    cfg.work_dir = str(tmp_path_factory.mktemp('work'))
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.train_dataloader.update(
        batch_size=2, num_workers=0, persistent_workers=False
    )
    cfg.train_dataloader.dataset.data_root = str(worlds / 'toyland')
    Runner.from_cfg(cfg).train()
    return f'{cfg.work_dir}/iter_2.pth'


@pytest.fixture
def model(configs, checkpoint):
    return init_model(str(configs / CONFIG), checkpoint, device='cpu')


@pytest.fixture
def bare_model(model):
    """The model, given images at the size that they have."""
    model.cfg.test_pipeline = [
        transform
        for transform in model.cfg.test_pipeline
        if transform.type != 'Resize'
    ]
    return model


@pytest.fixture
def images():
    """Two BGR images that are not square."""
    return list(
        np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    )


def logits_of(model, image):
    return inference_model(model, image).seg_logits.data


def test_inferencer(configs, checkpoint, model, images, tmp_path):
    inferencer = MMSegInferencer(
        str(configs / CONFIG), checkpoint, device='cpu'
    )
    result = inferencer(images[0], return_vis=True)
    assert result['predictions'].shape == SIZE
    assert result['visualization'].shape == (*SIZE, 3)
    classes = inferencer.visualizer.dataset_meta['classes']
    assert tuple(classes) == ('background', *CLASSES)
    path = tmp_path / 'image.png'
    Image.fromarray(images[0][:, :, ::-1]).save(path)
    from_file = inferencer(str(path))['predictions']
    assert np.array_equal(from_file, result['predictions'])
    sample = inference_model(model, images[0])
    expected = sample.pred_sem_seg.data[0].numpy()
    assert np.array_equal(from_file, expected)


def test_names_come_with_the_checkpoint(model):
    """No data set is asked."""
    assert model.neck.text.names == tuple(
        (name,) for name in ('background', *CLASSES)
    )
    assert tuple(model.dataset_meta['classes']) == ('background', *CLASSES)


@pytest.mark.parametrize('size', [(75, 131), (16, 16), (130, 17), (96, 96)])
def test_any_size(bare_model, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    logits = logits_of(bare_model, image)
    assert logits.shape == (9, *size)
    assert torch.isfinite(logits).all()


def test_images_of_a_batch_do_not_meet(bare_model, images):
    together = inference_model(bare_model, images)
    for image, sample in zip(images, together):
        assert torch.allclose(
            sample.seg_logits.data, logits_of(bare_model, image), **CLOSE
        )
    first, second = (sample.seg_logits.data for sample in together)
    assert not torch.allclose(first, second, **CLOSE)


def test_slide(bare_model, images):
    """A window as large as the image is the whole; a smaller one sees less."""
    whole = logits_of(bare_model, images[0])
    found = []
    for crop, stride in [((75, 131), (50, 87)), ((64, 64), (43, 43))]:
        bare_model.test_cfg = Config(
            dict(mode='slide', crop_size=crop, stride=stride)
        )
        found.append(logits_of(bare_model, images[0]))
    assert torch.allclose(found[0], whole, **CLOSE)
    assert found[1].shape == whole.shape
    assert torch.isfinite(found[1]).all()
    assert not torch.allclose(found[1], whole, **CLOSE)


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_smaller_than_a_patch(bare_model, mode):
    bare_model.test_cfg = Config(
        dict(mode=mode, crop_size=(64, 64), stride=(43, 43))
    )
    image = np.zeros((5, 40, 3), np.uint8)
    with pytest.raises(ValueError, match='an image of 5 x 40 pixels'):
        inference_model(bare_model, image)
    with pytest.raises(ValueError, match='at least two patches'):
        inference_model(bare_model, np.zeros((9, 40, 3), np.uint8))
