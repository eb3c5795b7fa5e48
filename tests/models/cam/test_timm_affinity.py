"""Affinities from timm models, with random weights."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.cam.timm_affinity import (
    ProxyTokenAffinity,
    TimmAffinity,
)
from mmseg_weakclip.models.clip.similarity import (
    centred_similarity,
    positive_softmax,
)

TINY = 'vit_tiny_patch16_224'


def make(device, model=TINY, **kwargs):
    torch.manual_seed(0)
    affinity = TimmAffinity(model, pretrained=False, **kwargs)
    return affinity.to(device).eval()


def test_is_the_formula(device):
    """At a size of the timm model's own patches, nothing is resampled."""
    affinity = make(device)
    images = torch.randn(2, 3, 48, 80, device=device)
    ours, grid = affinity(images, (2, 4))
    assert grid == (3, 5)
    mean = torch.tensor([122.771, 116.746, 104.094], device=device)
    std = torch.tensor([68.501, 66.632, 70.323], device=device)
    pixels = images * std[:, None, None] + mean[:, None, None]
    # This model's own: 0.5 on a scale of one.
    theirs = (pixels / 255 - 0.5) / 0.5
    with torch.no_grad():
        tokens = affinity.tower.module.forward_features(theirs)[:, 1:]
    scores = centred_similarity(tokens, beta=1.2, gamma=3.0)
    assert torch.allclose(ours, positive_softmax(scores), atol=1e-4)


def test_own_grid_is_kept(make_vit, device):
    """Patches of 16 of an image that CLIP cuts by 8."""
    options = dict(type='TimmAffinity', model=TINY, pretrained=False)
    vit = make_vit(
        dense=dict(preset='proxy', affinity=options), with_tokens=True
    )
    images = torch.randn(1, 3, 64, 96, device=device)
    with torch.no_grad():
        tokens = vit(images)[-1]
    assert tokens.grid == (8, 12)
    assert tokens.patch_embeddings.shape[2:] == (4, 6)


@pytest.mark.parametrize(
    'model', [TINY, 'vit_tiny_r_s16_p8_224', 'resnet18', 'convnext_atto']
)
@pytest.mark.parametrize('grid', [(3, 5), (2, 9)])
def test_any_model_any_size(device, model, grid):
    images = torch.randn(2, 3, grid[0] * 14, grid[1] * 14, device=device)
    ours, theirs = make(device, model, grid='clip')(images, grid)
    assert theirs == grid
    number = grid[0] * grid[1]
    assert ours.shape == (2, number, number)
    assert torch.allclose(ours.sum(-1), torch.ones(2, number, device=device))


def test_sees_what_belongs_together(device):
    """Patches of two flat colours, a random network: two groups."""
    images = torch.zeros(1, 3, 64, 64, device=device)
    images[..., 32:] = 2
    ours, _ = make(device, 'convnext_atto', grid='clip')(
        F.interpolate(images, scale_factor=4), (4, 4)
    )
    ours = ours.view(4, 4, 4, 4)
    within = ours[:, 0, :, 0].mean()
    across = ours[:, 0, :, 3].mean()
    assert within > across


def test_stays_frozen_and_out_of_checkpoints(make_vit, device):
    vit = make_vit(
        dense=dict(
            preset='proxy',
            affinity=dict(type='TimmAffinity', model=TINY, pretrained=False),
        ),
        with_tokens=True,
    ).train()
    assert not any(p.requires_grad for p in vit.affinity.parameters())
    assert not vit.affinity.tower.module.training
    # Random weights can't be had again: they do go into the checkpoint.
    assert any('affinity.tower.module' in name for name in vit.state_dict())
    vit.affinity.tower.reloadable = True
    assert not any('affinity.tower.module' in n for n in vit.state_dict())


def test_pixels_past_the_last_patch_are_not_seen(make_vit, device):
    vit = make_vit(
        dense=dict(
            preset='proxy',
            affinity=dict(type='TimmAffinity', model=TINY, pretrained=False),
        ),
        with_tokens=True,
    )
    images = torch.randn(1, 3, 40, 56, device=device)
    wider = F.pad(images, (0, 7, 0, 7), value=3.0)
    with torch.no_grad():
        assert torch.equal(vit(images)[-1].dense, vit(wider)[-1].dense)


def test_bad_values():
    with pytest.raises(ValueError, match="no model 'vit_enormous'"):
        TimmAffinity('vit_enormous', pretrained=False)
    with pytest.raises(ValueError, match="grid='x'"):
        TimmAffinity(TINY, pretrained=False, grid='x')


@pytest.mark.parametrize(
    ('model', 'source', 'message'),
    [
        ('eva02_tiny_patch14_224', 'key', 'cannot be read from eva02_tiny'),
        ('samvit_base_patch16_224', 'value', 'cannot be read from samvit'),
        ('xcit_nano_12_p8_224', 'query', 'cannot be read from xcit_nano'),
        ('hiera_tiny_224', 'features', 'cannot be read from hiera_tiny'),
        ('resnet18', 'key', 'resnet18 has no joint projection'),
    ],
)
def test_sources_that_a_model_does_not_give(model, source, message):
    """They are refused when the part is built, not at the first image."""
    with pytest.raises(ValueError, match=f'source={source!r}.*{message}'):
        TimmAffinity(model, pretrained=None, source=source)


@pytest.mark.parametrize(
    'options',
    [dict(beta=1.0), dict(gamma=3.0), dict(positive=False), dict(rounds=0)],
)
def test_options_that_proxies_do_not_have(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        ProxyTokenAffinity(TINY, pretrained=None, **options)
