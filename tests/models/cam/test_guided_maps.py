"""Class maps that the features of another, frozen model spread."""

import pytest
import timm
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.models.cam.attention_affinity import AttentionAffinity
from mmseg_weakclip.models.cam.timm_affinity import TimmAffinity
from mmseg_weakclip.models.cam.timm_features import TimmFeatures
from mmseg_weakclip.models.refine.affinity import (
    refine_by_affinity,
    sinkhorn_affinity,
)
from mmseg_weakclip.models.refine.pixel_correlation import correlate_maps

GUIDE = dict(type='TimmAffinity', model='test_vit', pretrained=None)
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


@torch.no_grad()
@pytest.mark.parametrize('share', [0.0, 0.6, 1.0])
def test_share_of_the_guide(make_vit, device, share):
    """Both are rows that sum to one before they are mixed."""
    vit = make_vit(
        with_tokens=True, attention_layers=2, guide=dict(GUIDE, grid='clip')
    )
    images = torch.randn(2, 3, 43, 62, device=device)
    tokens = vit(images)[-1]
    number = tokens.grid[0] * tokens.grid[1]
    assert tokens.affinity.shape == (2, number, number)
    # Pixels past the last patch are seen by neither.
    again = vit(images[..., :40, :56])[-1]
    assert torch.equal(tokens.affinity, again.affinity)
    cams = torch.rand(2, 3, *tokens.grid, device=device)
    spread = AttentionAffinity(box_threshold=0.0, guide_share=share)
    attention = tokens.attention.mean(0)[:, 1:, 1:]
    if share:
        attention = attention / attention.sum(2, keepdim=True)
    mixed = (1 - share) * attention + share * tokens.affinity
    naive = refine_by_affinity(cams, sinkhorn_affinity(mixed))
    assert torch.allclose(spread(cams, tokens), naive, atol=1e-6)


@torch.no_grad()
def test_what_is_missing_is_named(make_vit, device):
    images = torch.randn(1, 3, 40, 56, device=device)
    cams = torch.rand(1, 2, 5, 7, device=device)
    plain = make_vit(with_tokens=True, attention_layers=1)(images)[-1]
    with pytest.raises(ValueError, match=r'guide_share=0\.6 needs'):
        AttentionAffinity(guide_share=0.6)(cams, plain)
    guided = make_vit(with_tokens=True, guide=dict(GUIDE, grid='clip'))
    alone = AttentionAffinity(guide_share=1.0)(cams, guided(images)[-1])
    assert alone.shape == cams.shape
    with pytest.raises(ValueError, match='attention_layers'):
        AttentionAffinity(guide_share=0.6)(cams, guided(images)[-1])
    with pytest.raises(ValueError, match=r'guide_share=1\.5'):
        AttentionAffinity(guide_share=1.5)
    with pytest.raises(ValueError, match=r'2 x 4 patches and CLIP 5 x 7'):
        make_vit(with_tokens=True, guide=GUIDE)(images)
    grouping = dict(
        type='GroupingCLIPViT',
        model='toyclip',
        pretrained=None,
        guide=dict(GUIDE, grid='clip'),
        group_after=2,
        out_indices=(0,),
        group=dict(type='SemanticGroup'),
    )
    with pytest.raises(ValueError, match='single patches'):
        MODELS.build(grouping)


@torch.no_grad()
def test_weights_of_a_file_and_images_of_another_model(tmp_path, device):
    state = timm.create_model('test_vit', num_classes=5).state_dict()
    torch.save(state, tmp_path / 'w.pth')
    file = str(tmp_path / 'w.pth')
    guide = TimmFeatures('test_vit', pretrained=file, **IMAGENET).to(device)
    pixels = torch.rand(2, 3, 35, 60, device=device)
    mean, std = (
        torch.tensor(IMAGENET[key], device=device)[:, None, None]
        for key in ('mean', 'std')
    )
    features = guide((255 * pixels - mean) / std)
    assert features.shape == (2, 64, 2, 4)
    # This model's own: 0.5 on a scale of one.
    theirs = torch.nn.functional.interpolate(
        (pixels - 0.5) / 0.5, (32, 64), mode='bilinear'
    )
    tokens = guide.tower.module.forward_features(theirs)[:, 1:]
    assert torch.allclose(features.flatten(2).mT, tokens, atol=1e-4)
    for name, value in guide.tower.module.state_dict().items():
        assert torch.equal(value.cpu(), state[name])
    # Weights that can be loaded again stay out of checkpoints.
    assert not any('module' in name for name in guide.state_dict())
    with pytest.raises(ValueError, match="weights of timm model 'test_resne"):
        TimmAffinity('test_resnet', pretrained=file)


@torch.no_grad()
@pytest.mark.parametrize('dtype', [None, torch.bfloat16])
def test_cams_are_spread_by_the_guide(device, dtype):
    torch.manual_seed(0)
    size = (72, 104)
    config = dict(
        type='GuidedEncoderDecoder',
        guide=dict(
            type='TimmFeatures', model='test_vit', pretrained=None, **IMAGENET
        ),
        backbone=dict(type='TimmFeatureMaps', model_name='test_resnet'),
        decode_head=dict(
            type='CAMHead',
            num_classes=4,
            in_channels=192,
            correlation=dict(levels=(0,)),
            predicts='maps',
        ),
        test_cfg=dict(mode='whole'),
    )
    config['decode_head']['in_channels'] = MODELS.build(
        config['backbone']
    ).channels[-1]
    model = MODELS.build(config).to(device).eval()
    images = torch.randn(2, 3, *size, device=device)
    metas = [
        dict(img_path='0.jpg', img_shape=size, image_labels=own)
        for own in ((1, 3), (2,))
    ]
    with torch.autocast(device.type, dtype, enabled=bool(dtype)):
        found = model.encode_decode(images, metas)
        guide, own = model.extract_feat(images)
        maps = model.decode_head((own,)).float().relu()
    assert not guide.requires_grad
    spread = correlate_maps(maps, [guide])
    spread = torch.nn.functional.interpolate(spread, size, mode='bilinear')
    assert torch.allclose(found[0, 3], spread[0, 2], atol=1e-4)
    assert torch.allclose(found[1, 2], spread[1, 1], atol=1e-4)
    assert not found[1, 1].any()
    alone = model.encode_decode(images[1:], metas[1:])
    if dtype is None:
        assert torch.allclose(found[1:], alone, atol=1e-4)
    assert not any(p.requires_grad for p in model.guide.parameters())


@pytest.mark.parametrize(
    ('model', 'level', 'shape'),
    [
        ('resnet18', 2, (128, 6, 10)),
        ('resnet18', -2, (256, 3, 5)),
        ('test_vit', 0, (64, 3, 5)),
    ],
)
def test_features_of_any_level(model, level, shape, device):
    """Those of the network that is cut there, at its own grid."""
    torch.manual_seed(0)
    options = dict(pretrained=None, level=level, **IMAGENET)
    features = TimmFeatures(model, **options).to(device).eval()
    images = torch.randn(2, 3, 48, 80, device=device)
    found = features(images)
    assert found.shape == (2, *shape)
    every = features.tower.module.forward_intermediates(
        images * features.scale + features.shift,
        norm=True,
        intermediates_only=True,
    )
    assert torch.allclose(found, every[level], atol=1e-5)
    assert torch.allclose(found[:1], features(images[:1]), atol=1e-4)


def test_features_of_an_enlarged_image(device):
    torch.manual_seed(0)
    features = TimmFeatures('resnet18', pretrained=None, scale=2.0, **IMAGENET)
    features = features.to(device).eval()
    images = torch.randn(1, 3, 32, 64, device=device)
    found = features(images)
    assert found.shape[2:] == (2, 4)
    features.enlargement = 1.0
    large = torch.nn.functional.interpolate(images, (64, 128), mode='bilinear')
    assert torch.allclose(found, features(large), atol=1e-4)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(level=5), "level=5 of 'resnet18', which has 5 of them"),
        (dict(level=-6), 'level=-6'),
        (dict(scale=0.0), r"scale=0.0 of 'resnet18' must be above 0"),
    ],
)
def test_no_such_features(options, message):
    with pytest.raises(ValueError, match=message):
        TimmFeatures('resnet18', pretrained=None, **options)
