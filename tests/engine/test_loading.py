"""Segmentors from their configs and checkpoints."""

import json

import pytest
import torch
from mmengine.config import Config

from mmseg_weakclip.apps.export.check import random_images
from mmseg_weakclip.apps.export.segmenter import ExportError, ExportSegmenter
from mmseg_weakclip.engine.loading import load_segmentor

SIZE = (2, 64, 96)


@pytest.fixture
def cfg(model_config):
    dataset = dict(type='WeakSegDataset', metainfo=dict(classes=list('abcd')))
    return Config(
        dict(
            model=model_config('fpn'),
            test_dataloader=dict(dataset=dataset),
        )
    )


@pytest.fixture
def checkpoint(build, tmp_path):
    def save(change=lambda state: state, **meta):
        state = change(build('fpn').state_dict())
        path = tmp_path / 'model.pth'
        torch.save(dict(state_dict=state, meta=meta), path)
        return str(path)

    return save


def test_loading(cfg, checkpoint, build):
    source = load_segmentor(cfg, checkpoint())
    assert source.classes == list('abcd')
    assert source.palette[1] == [128, 0, 0]
    assert source.is_rgb
    images = random_images(SIZE)
    assert torch.equal(
        ExportSegmenter(source.model)(images),
        ExportSegmenter(build('fpn'))(images),
    )
    metadata = source.metadata(ExportSegmenter(source.model, 'mask'))
    assert json.loads(metadata['mean']) == [120.0, 110.0, 100.0]
    assert json.loads(metadata['classes']) == list('abcd')
    assert metadata['output'] == 'mask'


def test_the_checkpoint_names_classes_first(cfg, checkpoint):
    meta = dict(classes=('w', 'x', 'y', 'z'), palette=[[1, 2, 3]] * 4)
    source = load_segmentor(cfg, checkpoint(dataset_meta=meta))
    assert source.classes == ['w', 'x', 'y', 'z']
    assert source.palette[0] == [1, 2, 3]


def test_means_of_bgr_are_turned(cfg, checkpoint):
    cfg.model.data_preprocessor.bgr_to_rgb = False
    source = load_segmentor(cfg, checkpoint())
    metadata = source.metadata(
        ExportSegmenter(source.model, is_rgb=source.is_rgb)
    )
    assert json.loads(metadata['mean']) == [100.0, 110.0, 120.0]


def test_loading_refused(cfg, checkpoint, tmp_path):
    with pytest.raises(ExportError, match='its model is trained .* give its'):
        load_segmentor(cfg.copy(), None)

    def drop(state):
        state.pop('decode_head.conv_seg.bias')
        return state

    with pytest.raises(ExportError, match='lacks 1 tensors .*conv_seg.bias'):
        load_segmentor(cfg, checkpoint(drop))

    def widen(state):
        state['decode_head.conv_seg.bias'] = torch.zeros(7)
        return state

    with pytest.raises(ExportError, match='does not fit: size mismatch'):
        load_segmentor(cfg, checkpoint(widen))
    cfg.test_dataloader = None
    with pytest.raises(ExportError, match='what its classes are called'):
        load_segmentor(cfg, checkpoint())
    with pytest.raises(FileNotFoundError, match='absent.pth'):
        load_segmentor(cfg, str(tmp_path / 'absent.pth'))
