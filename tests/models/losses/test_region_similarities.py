from dataclasses import replace

import pytest
import torch

from mmseg_weakclip.models.losses.functional import (
    connected_zero,
    mean_or_zero,
)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('labels', r'labels .*\(2,\).*3 pairs, 4 background texts.*\(3,\)'),
        ('rest_background', r'rest_background .*\(2, 4\).*need \(3, 4\)'),
        ('present', r'present .*\(2, 3\).*\(3, 3, 4, 5\) need \(3, 3\)'),
        ('background_mask', r'images .*\(3,\).*2 pairs'),
    ],
)
def test_wrong_shapes_are_named(make_regions, name, message):
    regions = make_regions(size=(3, 3))
    with pytest.raises(ValueError, match=message):
        replace(regions, **{name: getattr(regions, name)[:2]})


def test_wrong_dimensions_are_named(make_regions):
    regions = make_regions()
    with pytest.raises(ValueError, match=r'\(M, L\).*got \(3,\)'):
        replace(regions, background_mask=regions.images)
    with pytest.raises(ValueError, match=r'\(B, K, h, w\).*\(2, 3, 4\)'):
        replace(regions, maps=regions.maps[..., 0])


@pytest.mark.parametrize('value', [0.5, float('inf'), float('nan')])
def test_zero_is_connected_and_finite(device, value):
    maps = torch.full((2, 3, 4, 5), value, device=device, requires_grad=True)
    zero = connected_zero(maps.half())
    assert zero.dtype == torch.float32
    assert zero == 0
    zero.backward()
    assert torch.equal(maps.grad, torch.zeros_like(maps))


def test_mean_or_zero(device):
    maps = torch.rand(2, 3, 4, 5, device=device)
    values = torch.tensor([1.0, 2.0, 6.0], device=device)
    assert mean_or_zero(values, maps) == 3
    assert mean_or_zero(values[:0], maps) == 0
    assert mean_or_zero(values * float('nan'), maps).isnan()
