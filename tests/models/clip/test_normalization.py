"""Mean and deviation that weights were trained with."""

import json

import open_clip
import pytest
import torch
from mmengine.config import ConfigDict

from mmseg_weakclip.apps.wsss.config_edits import set_clip
from mmseg_weakclip.engine.normalization import check_normalization
from mmseg_weakclip.models.cam.timm_features import TimmFeatures
from mmseg_weakclip.models.clip import normalization
from mmseg_weakclip.models.clip import vit as vit_module
from mmseg_weakclip.models.clip.normalization import weight_normalization
from mmseg_weakclip.models.clip.vision import CLIP_MEAN, CLIP_STD
from mmseg_weakclip.models.clip.vit import CLIPViT
from mmseg_weakclip.models.clip.weights import load_clip

CLIP = CLIP_MEAN, CLIP_STD
HALF = (127.5,) * 3, (127.5,) * 3
RAW = (0.0,) * 3, (255.0,) * 3
IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@pytest.mark.parametrize(
    ('model', 'tag', 'expected'),
    [
        ('ViT-B-16-quickgelu', 'openai', CLIP),
        ('ViT-B/16', 'laion2b_s34b_b88k', CLIP),
        ('ViT-L-14', 'laion2b_s32b_b82k', HALF),
        ('ViT-B-16-SigLIP2', 'webli', HALF),
        ('PE-Core-B-16', 'meta', HALF),
        ('MobileCLIP2-B', 'dfndr2b', RAW),
        ('ViT-L-14-CLIPA', 'datacomp1b', IMAGENET),
        ('toyclip', 'toyland', None),
        ('ViT-B-16', None, None),
    ],
)
def test_records_of_tags(model, tag, expected):
    found = weight_normalization(model, tag)
    assert (found is None) == (expected is None)
    for one, other in zip(found or (), expected or ()):
        assert one == pytest.approx(other, abs=1e-3)


def test_files_that_may_have_been_trained_with_either(tmp_path, monkeypatch):
    """It cannot be checked, and that must not be silent."""
    messages = []
    monkeypatch.setattr(
        normalization,
        'print_log',
        lambda message, *_, **__: messages.append(message),
    )
    file = tmp_path / 'weights.safetensors'
    file.write_bytes(b'any')
    weight_normalization('ViT-L-14', 'laion2b_s32b_b82k')
    weight_normalization('ViT-B-16-SigLIP', str(file))
    assert not messages
    weight_normalization('ViT-L-14', str(file))
    (message,) = messages
    assert message.startswith('weights of ViT-L-14 were trained with one of')
    assert '(122.771, ' in message
    assert '(127.5, ' in message


def test_records_of_files(tmp_path):
    file = tmp_path / 'weights.safetensors'
    file.write_bytes(b'any')
    # All tags of SigLIP agree, those of ViT-L-14 do not.
    assert weight_normalization('ViT-B-16-SigLIP', str(file)) == HALF
    assert weight_normalization('ViT-L-14', str(file)) is None
    record = dict(preprocess_cfg=dict(mean=[0.0] * 3, std=[1.0] * 3))
    config = tmp_path / 'open_clip_config.json'
    config.write_text(json.dumps(record))
    for path in (file, tmp_path):
        assert weight_normalization('ViT-L-14', str(path)) == RAW
    # A folder's own record, also for a file from elsewhere.
    record['model_cfg'] = open_clip.get_model_config('ViT-B-32')
    config.write_text(json.dumps(record))
    (tmp_path / 'other').mkdir()
    other = tmp_path / 'other/weights.safetensors'
    other.write_bytes(b'any')
    for weights in (None, 'openai', str(other)):
        assert weight_normalization(f'local-dir:{tmp_path}', weights) == RAW
    record['preprocess_cfg']['mean'] = 'none'
    config.write_text(json.dumps(record))
    assert weight_normalization('ViT-B-16-SigLIP', str(file)) == HALF


class Segmentor(torch.nn.Module):
    def __init__(self, backbone, mean, std):
        super().__init__()
        self.backbone = backbone
        self.data_preprocessor = torch.nn.Module()
        for name, value in (('mean', mean), ('std', std)):
            self.data_preprocessor.register_buffer(name, torch.tensor(value))


@pytest.fixture
def make_backbone(monkeypatch):
    clip = load_clip('toyclip', None)
    monkeypatch.setattr(vit_module, 'load_clip', lambda *_: clip)
    return CLIPViT


def test_wrong_pair_is_refused(make_backbone):
    backbone = make_backbone('ViT-B-16-SigLIP2', 'webli')
    check_normalization(Segmentor(backbone, *HALF))
    message = (
        r'^ViT-B-16-SigLIP2 was trained on images with mean \[127.5.* has '
        r'mean \[122\.77.*set data_preprocessor=dict\(mean=\[127\.5, .*, or '
        r'backbone\.check_normalization=False if others are meant$'
    )
    with pytest.raises(ValueError, match=message):
        check_normalization(Segmentor(backbone, *CLIP))
    backbone = make_backbone(
        'ViT-B-16-SigLIP2', 'webli', check_normalization=False
    )
    check_normalization(Segmentor(backbone, *CLIP))
    # Random weights and those without a record have none.
    check_normalization(Segmentor(make_backbone('toyclip', None), *HALF))


@pytest.fixture
def make_guided(make_backbone):
    """A CLIP without a record, and a guide that takes images for these."""

    def make(name, mean, std):
        model = Segmentor(make_backbone('toyclip', None), *HALF)
        part = TimmFeatures('test_vit', pretrained=None, mean=mean, std=std)
        parent, _, name = name.rpartition('.')
        setattr(model.get_submodule(parent), name, part)
        return model

    return make


@pytest.mark.parametrize('name', ['guide', 'backbone.affinity'])
def test_frozen_models_beside_clip_are_checked(make_guided, name):
    check_normalization(make_guided(name, *HALF))
    model = make_guided(name, *CLIP)
    message = (
        rf'^TimmFeatures of test_vit \({name}\) takes the mean .*122\.77.* '
        r'but the data_preprocessor has mean \[127\.5.*: set mean=\[127\.5, '
        r'127\.5, 127\.5\] and std=\[127\.5, 127\.5, 127\.5\] in its config$'
    )
    with pytest.raises(ValueError, match=message):
        check_normalization(model)
    model = make_guided(name, *HALF)
    model.data_preprocessor._channel_conversion = False
    with pytest.raises(ValueError, match=r'TimmFeatures of .* RGB images'):
        check_normalization(model)


def test_frozen_models_of_images_as_they_are(make_guided):
    model = make_guided('guide', (0, 0, 0), (1, 1, 1))
    model.data_preprocessor = torch.nn.Module()
    check_normalization(model)


@pytest.mark.parametrize(
    ('model', 'weights', 'checked', 'expected'),
    [
        ('ViT-B-16-SigLIP2', 'webli', True, HALF),
        ('ViT-L-14-quickgelu', 'openai', True, CLIP),
        ('ViT-B-16-SigLIP2', 'webli', False, HALF),
        # ImageNet's, as published.
        ('ViT-L-14-quickgelu', 'openai', False, IMAGENET),
        ('toyclip', 'toyland', True, IMAGENET),
    ],
)
def test_one_command_sets_the_pair(model, weights, checked, expected):
    config = ConfigDict(
        data_preprocessor=dict(mean=IMAGENET[0], std=IMAGENET[1]),
        backbone=dict(
            type='CLIPViT',
            model='a',
            pretrained='b',
            check_normalization=checked,
            guide=dict(type='TimmAffinity', model='any'),
            dense=dict(
                affinity=dict(
                    type='ProxyTokenAffinity', model='any', pretrained=None
                )
            ),
        ),
        decode_head=dict(text=dict(model='a', pretrained='b')),
    )
    set_clip(config, model, weights)
    assert config.decode_head.text.model == config.backbone.model == model
    for name, values in zip(('mean', 'std'), expected):
        assert list(config.data_preprocessor[name]) == list(values)
    for guide in (config.backbone.guide, config.backbone.dense.affinity):
        if expected is not IMAGENET:
            assert (tuple(guide.mean), tuple(guide.std)) == expected
        assert guide.model == 'any'
    # A CNN keeps its own.
    config.backbone = dict(type='ResNet')
    config.data_preprocessor.mean = [1, 2, 3]
    set_clip(config, 'ViT-B-16-SigLIP2', 'webli')
    assert config.data_preprocessor.mean == [1, 2, 3]
