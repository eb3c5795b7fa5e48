import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses.region_area import (
    ActivationAreaLoss,
    activation_area,
)


@pytest.fixture
def present(device):
    return torch.tensor([[1, 0, 1], [0, 1, 0]], device=device).bool()


def test_by_hand(device, present):
    """Each map has one value: 0.1 to 0.6 for two images of three classes."""
    levels = torch.arange(1, 7, device=device).view(2, 3, 1, 1) / 10
    maps = levels.expand(2, 3, 4, 5)
    assert activation_area(maps, present).item() == pytest.approx(0.35)
    area = activation_area(maps, present, 'present')
    assert area.item() == pytest.approx((0.1 + 0.3 + 0.5) / 3)


@pytest.mark.parametrize('classes', ['all', 'present'])
def test_zero_for_empty_maps_and_one_for_full(device, present, classes):
    maps = torch.ones(2, 3, 4, 5, device=device)
    assert activation_area(0 * maps, present, classes) == 0
    assert activation_area(maps, present, classes).item() == pytest.approx(1)


def test_pushes_every_position_down_alike(make_regions):
    regions = make_regions()
    ActivationAreaLoss(loss_weight=0.2)(regions).backward()
    torch.testing.assert_close(
        regions.maps.grad, torch.full_like(regions.maps, 0.2 / (2 * 3 * 20))
    )


def test_only_present_classes(make_regions):
    regions = make_regions()
    ActivationAreaLoss('present')(regions).backward()
    assert (regions.maps.grad[~regions.present] == 0).all()
    torch.testing.assert_close(
        regions.maps.grad[regions.present],
        torch.full_like(regions.maps[regions.present], 1 / (3 * 20)),
    )


def test_no_class_is_present(make_regions):
    regions = make_regions(images=(), labels=())
    loss = ActivationAreaLoss('present')(regions)
    loss.backward()
    assert loss == 0
    assert (regions.maps.grad == 0).all()
    # The maps of absent classes still have an area.
    torch.testing.assert_close(
        ActivationAreaLoss()(regions), regions.maps.mean()
    )


def test_bad_value():
    with pytest.raises(ValueError, match="classes='foreground'"):
        MODELS.build(dict(type='ActivationAreaLoss', classes='foreground'))
