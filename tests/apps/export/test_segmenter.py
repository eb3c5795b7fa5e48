"""Images as they are to predictions, as mmseg itself would predict them."""

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

import mmseg_weakclip.parts  # noqa: F401
from mmseg_weakclip.apps.export.check import random_images, reference_logits
from mmseg_weakclip.apps.export.cli import main
from mmseg_weakclip.apps.export.segmenter import ExportError, ExportSegmenter
from mmseg_weakclip.toyland.objects import CLASSES

SIZE = (2, 45, 70)


@pytest.fixture
def images():
    return random_images(SIZE)


@pytest.mark.parametrize('padding', [{}, dict(size_divisor=32)])
@pytest.mark.parametrize('name', ['fpn', 'segformer', 'upernet_vit'])
def test_as_mmseg_predicts(build, images, name, padding):
    model = build(name, data_preprocessor=dict(test_cfg=padding, pad_val=3))
    expected = reference_logits(model, images)
    assert expected.shape == (2, 4, 45, 70)
    assert expected.std() > 0.1
    found = ExportSegmenter(model)(images)
    assert torch.allclose(found, expected, atol=1e-4)


def test_padding_matters(build, images):
    """Or the test above would see nothing."""
    plain, padded = (
        reference_logits(
            build('fpn', data_preprocessor=dict(test_cfg=padding)), images
        )
        for padding in ({}, dict(size_divisor=32))
    )
    assert not torch.allclose(plain, padded, atol=1e-2)


def test_network_of_bgr(build, images):
    model = build('fpn')
    model.data_preprocessor._channel_conversion = False
    found = ExportSegmenter(model, is_rgb=False)(images)
    expected = reference_logits(model, images)
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(ExportSegmenter(model)(images), expected)


def test_reference_is_of_whole_images(build, images):
    model = build('fpn')
    whole = reference_logits(model, images)
    model.test_cfg = dict(mode='slide', crop_size=(32, 32), stride=(16, 16))
    assert torch.equal(reference_logits(model, images), whole)
    assert model.test_cfg['mode'] == 'slide'


def test_outputs(build, images):
    model = build('fpn')
    logits = ExportSegmenter(model)(images)
    shares = ExportSegmenter(model, 'probabilities')(images)
    assert torch.allclose(shares, logits.softmax(1))
    mask = ExportSegmenter(model, 'mask')(images)
    assert mask.dtype == torch.uint8
    assert torch.equal(mask, logits.argmax(1).to(torch.uint8))


def test_binary(build, images):
    model = build('fpn')
    head = model.decode_head
    head.conv_seg = torch.nn.Conv2d(16, 1, 1)
    head.out_channels = model.out_channels = 1
    head.threshold = 0.4
    logits = ExportSegmenter(model)(images)
    mask = ExportSegmenter(model, 'mask')(images)
    assert torch.equal(mask, (logits[:, 0].sigmoid() > 0.4).byte())
    shares = ExportSegmenter(model, 'probabilities')(images)
    assert torch.equal(shares, logits.sigmoid())


def test_the_model_stays_as_it_is(build, images):
    model = build('upernet_vit')
    before = {name: type(part) for name, part in model.named_modules()}
    ExportSegmenter(model)(images)
    assert before == {n: type(part) for n, part in model.named_modules()}


def test_refused(build):
    with pytest.raises(ExportError, match="output='classes' must be one of"):
        ExportSegmenter(build('fpn'), 'classes')
    model = build('fpn', data_preprocessor=dict(test_cfg=dict(size=(64, 64))))
    with pytest.raises(ExportError, match=r'test_cfg.size=\(64, 64\)'):
        ExportSegmenter(model)
    model = build('fpn')
    model.out_channels = 300
    with pytest.raises(ExportError, match='300 classes do not fit'):
        ExportSegmenter(model, 'mask')
    with pytest.raises(ExportError, match='Identity has no encode_decode'):
        ExportSegmenter(torch.nn.Identity())


def test_heads_that_need_labels(images):
    from mmengine.config import ConfigDict
    from mmseg.registry import MODELS

    clip = dict(model='toyclip', pretrained='toyland')
    model = MODELS.build(
        ConfigDict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor'),
            backbone=dict(type='CLIPViT', **clip, with_tokens=True),
            decode_head=dict(
                type='PatchTextCAMHead',
                num_classes=3,
                background=dict(threshold=0.5),
                text=dict(type='TemplateText', **clip, names=['a', 'b']),
            ),
            test_cfg=dict(mode='whole'),
        )
    )
    with pytest.raises(ExportError, match='needs the image labels'):
        ExportSegmenter(model)(images)


ZERO_SHOT = dict(
    type='ZeroShotSegmentor',
    data_preprocessor=dict(type='SegDataPreProcessor'),
    backbone=dict(
        type='CLIPViT',
        model='toyclip',
        pretrained=None,
        with_tokens=True,
        dense='naclip',
    ),
    decode_head=dict(
        type='PatchTextHead',
        num_classes=2,
        text=dict(
            type='TemplateText',
            model='toyclip',
            pretrained=None,
            names=['a', 'b'],
        ),
    ),
    test_cfg=dict(mode='slide', crop_size=(32, 32), stride=(16, 16)),
)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(refine=dict(type='PAMR')), r'its refine \(PAMR\) work outside'),
        (dict(regions=dict(folder='.')), 'its regions work outside'),
        (dict(windows='joint'), "its windows='joint' work outside"),
    ],
)
def test_what_is_done_around_a_network(options, message):
    """The file would predict without it."""
    ExportSegmenter(MODELS.build(Config(ZERO_SHOT)))
    model = MODELS.build(Config({**ZERO_SHOT, **options}))
    with pytest.raises(ExportError, match=message):
        ExportSegmenter(model)


def test_command_refuses_what_it_would_drop(tmp_path, capsys):
    config = tmp_path / 'config.py'
    refined = dict(ZERO_SHOT, refine=dict(type='PAMR'))
    names = dict(classes=('a', 'b'))
    dataset = dict(type='BaseSegDataset', metainfo=names)
    content = dict(model=refined, test_dataloader=dict(dataset=dataset))
    Config(content).dump(config)
    out = tmp_path / 'model.pt'
    words = [str(config), '--format', 'torchscript', '--out', str(out)]
    assert main(words) == 2
    assert 'cannot be exported: its refine (PAMR)' in capsys.readouterr().err
    assert not out.exists()


@torch.no_grad()
@pytest.mark.parametrize(
    'name', ['fpn', 'deeplabv2', 'multi_scale', 'pspnet', 'segformer',
             'segmenter', 'upernet_vit', 'swin'],
)  # fmt: skip
def test_on_a_device(build, images, device, name):
    """What is exported has no part that stays on another device."""
    model = ExportSegmenter(build(name), 'probabilities')
    expected = model(images)
    found = model.to(device)(images.to(device))
    assert found.device.type == device.type
    assert torch.allclose(found.cpu(), expected, atol=1e-5)


@torch.no_grad()
def test_clip_on_a_device(repo, images, device):
    cfg = Config.fromfile(repo / 'configs/toyland/weakclip.py')
    cfg.model.pop('auxiliary_head', None)
    model = MODELS.build(cfg.model)
    model.neck.text.set_names(['background', *CLASSES])
    model = ExportSegmenter(model.eval())
    expected = model(images)
    found = model.to(device)(images.to(device))
    assert torch.allclose(found.cpu(), expected, atol=1e-4)
