"""Segmentors from their configs and checkpoints."""

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_weakclip.engine.loading import load_segmentor

MODEL = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[120.0, 110.0, 100.0],
        std=[60.0, 50.0, 70.0],
        bgr_to_rgb=True,
    ),
    backbone=dict(type='ResNetV1c', depth=18, base_channels=4),
    decode_head=dict(
        type='FCNHead', in_channels=32, channels=8, num_convs=1, num_classes=4
    ),
    # Neither is needed to predict.
    auxiliary_head=dict(
        type='FCNHead', in_channels=16, channels=8, in_index=2, num_classes=4
    ),
    pretrained='nowhere.pth',
    test_cfg=dict(mode='whole'),
)


@pytest.fixture
def cfg():
    dataset = dict(type='WeakSegDataset', metainfo=dict(classes=list('abcd')))
    return Config(dict(model=MODEL, test_dataloader=dict(dataset=dataset)))


@pytest.fixture
def weights():
    """Of a trained model, which has its auxiliary head."""
    return MODELS.build(dict(MODEL, pretrained=None)).state_dict()


@pytest.fixture
def checkpoint(weights, tmp_path):
    def save(change=None, **meta):
        state = dict(weights)
        if change is not None:
            change(state)
        path = tmp_path / 'model.pth'
        torch.save(dict(state_dict=state, meta=meta), path)
        return str(path)

    return save


def test_loading(cfg, checkpoint, weights):
    source = load_segmentor(cfg, checkpoint())
    assert source.classes == list('abcd')
    assert source.palette[1] == [128, 0, 0]
    assert source.is_rgb
    assert not source.takes_rgb
    assert not source.model.training
    loaded = source.model.state_dict()
    assert loaded
    for name, value in loaded.items():
        assert torch.equal(value, weights[name]), name


def test_the_checkpoint_names_classes_first(cfg, checkpoint):
    meta = dict(classes=('w', 'x', 'y', 'z'), palette=[[1, 2, 3]] * 4)
    source = load_segmentor(cfg, checkpoint(dataset_meta=meta))
    assert source.classes == ['w', 'x', 'y', 'z']
    assert source.palette[0] == [1, 2, 3]


def test_weights_of_a_distributed_training(cfg, checkpoint):
    def wrap(state):
        for name in list(state):
            state[f'module.{name}'] = state.pop(name)

    assert load_segmentor(cfg, checkpoint(wrap)).classes == list('abcd')


def test_order_of_colours(cfg, checkpoint):
    cfg.model.data_preprocessor.update(bgr_to_rgb=False, rgb_to_bgr=True)
    source = load_segmentor(cfg, checkpoint())
    assert source.takes_rgb
    assert not source.is_rgb


def test_loading_refused(cfg, checkpoint, tmp_path):
    with pytest.raises(ValueError, match='model that is trained .* give its'):
        load_segmentor(cfg.copy(), None)

    def drop(state):
        del state['decode_head.conv_seg.bias']

    with pytest.raises(ValueError, match='lacks 1 tensors .*conv_seg.bias'):
        load_segmentor(cfg.copy(), checkpoint(drop))

    def widen(state):
        state['decode_head.conv_seg.bias'] = torch.zeros(7)

    with pytest.raises(ValueError, match='1 tensors differ in shape.*seg.bia'):
        load_segmentor(cfg.copy(), checkpoint(widen))
    with pytest.raises(FileNotFoundError, match='absent.pth'):
        load_segmentor(cfg.copy(), str(tmp_path / 'absent.pth'))
    (tmp_path / 'text.pth').write_text('hello')
    with pytest.raises(ValueError, match='text.pth cannot be read: .* text f'):
        load_segmentor(cfg.copy(), str(tmp_path / 'text.pth'))
    cfg.test_dataloader = None
    with pytest.raises(ValueError, match='names classes: give'):
        load_segmentor(cfg, checkpoint())
