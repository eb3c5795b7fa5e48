"""The published forms of CLIMS, against values worked by hand."""

from math import inf, log

import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.common.resources import read_config
from mmseg_weakclip.models.clims.critic import RegionCritic, mask_regions
from mmseg_weakclip.models.clip.vision import CLIP_MEAN, CLIP_STD
from mmseg_weakclip.models.losses.functional import negative_log
from mmseg_weakclip.models.losses.region_background import (
    BackgroundSuppressionLoss,
    background_suppression,
)

RELEASED = 'clims/clims_r50_1xb16-15e_voc12-512x512_released'
CAMERA_READY = 'clims/clims_r50_1xb16-10e_voc12-512x512_camera-ready'


def test_aligned_corners_keep_the_corners():
    """A ramp stays a ramp from corner to corner, for image and map alike."""
    ramp = torch.arange(4.0).expand(1, 3, 2, 4)
    maps = torch.arange(3.0).expand(1, 1, 2, 3) / 2
    pairs = (torch.tensor([0]), torch.tensor([0]))
    inside, rest = mask_regions(ramp, maps, pairs, (5, 7), align_corners=True)
    image = torch.linspace(0, 3, 7).expand(1, 3, 5, 7)
    mask = torch.linspace(0, 1, 7)
    assert torch.allclose(inside, image * mask, atol=1e-6)
    assert torch.allclose(rest, image * (1 - mask), atol=1e-6)
    other, _ = mask_regions(ramp, maps, pairs, (5, 7))
    # Centres aligned: the ends stay flat for half a pixel.
    assert torch.allclose(
        other,
        F.interpolate(ramp, (5, 7), mode='bilinear')
        * F.interpolate(maps, (5, 7), mode='bilinear'),
    )
    assert not torch.allclose(other, inside, atol=0.05)


def test_the_critic_passes_it_on(clip, make_images, device):
    images, maps = make_images(), torch.rand(2, 1, 5, 7, device=device)
    pairs = torch.tensor([[0, 1], [0, 0]], device=device)
    plain, aligned = (
        RegionCritic(**clip, align_corners=value).to(device)(
            images, maps, pairs.unbind()
        )[0]
        for value in (False, True)
    )
    difference = (plain - aligned).abs().max()
    assert 1e-5 < difference < 0.5


def test_bare_logarithm():
    values = torch.tensor([1e-6, 0.05, 0.5, 1.0, 2.0], requires_grad=True)
    curve = negative_log(values, tangent_below=None, eps=None)
    expected = [-log(v) for v in (1e-6, 0.05, 0.5, 1.0, 2.0)]
    assert torch.allclose(curve, torch.tensor(expected), atol=1e-5)
    curve.sum().backward()
    assert torch.allclose(values.grad, -1 / values.detach())
    assert negative_log(torch.zeros(1), None, None).item() == inf


def test_suppression_without_a_tangent():
    """0.3 counts, 0.2 is below the gate, 0.95 is past the tangent."""
    similarity = torch.tensor([[0.3, 0.2, 0.95]])
    mask = torch.ones(1, 3).bool()
    bare = background_suppression(similarity, mask, tangent_below=None)
    assert bare.item() == pytest.approx(-log(0.7) - log(0.05), abs=1e-5)
    ours = background_suppression(similarity, mask)
    tangent = -log(0.1) + (0.1 - 0.05) / 0.1
    assert ours.item() == pytest.approx(-log(0.7) + tangent, abs=1e-5)
    with pytest.raises(ValueError, match='tangent_below=2'):
        BackgroundSuppressionLoss(tangent_below=2)


def losses_of(name):
    head = read_config(name).model.decode_head
    return head, {loss['type']: loss for loss in head.losses}


def test_the_released_config():
    head, losses = losses_of(RELEASED)
    assert head.critic.align_corners
    assert head.critic.normalization == 'imagenet'
    for kind in ('ObjectTextLoss', 'BackgroundTextLoss'):
        assert losses[kind].tangent_below is None
        assert 'eps' not in losses[kind]
    assert losses['BackgroundSuppressionLoss'].tangent_below is None


def test_the_camera_ready_config():
    head, losses = losses_of(CAMERA_READY)
    assert head.critic.align_corners
    assert head.text.aliases is None
    for loss in losses.values():
        if loss.type != 'ActivationAreaLoss':
            assert loss.tangent_below is None
    # Equal to the bare logarithm wherever that is a number worth having.
    cosines = torch.linspace(0.02, 0.999, 50)
    assert torch.equal(negative_log(cosines, None), -cosines.log())
    preprocessor = read_config(CAMERA_READY).model.data_preprocessor
    assert preprocessor.mean == pytest.approx(CLIP_MEAN)
    assert preprocessor.std == pytest.approx(CLIP_STD)
