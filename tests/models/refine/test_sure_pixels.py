"""The surer part of each class's pixels."""

import math

import pytest
import torch

from mmseg_weakclip.models.refine.sure_pixels import surest_pixels


def naive(scores, share):
    """Class by class, pixel by pixel, from the definition."""
    order = scores.sort(0, descending=True)
    margin = order.values[0] - order.values[1]
    sure = torch.zeros(scores.shape[1:], dtype=torch.bool)
    for index in range(len(scores)):
        places = (order.indices[0] == index).nonzero().tolist()
        places.sort(key=lambda place: -float(margin[tuple(place)]))
        for place in places[: math.ceil(share * len(places))]:
            sure[tuple(place)] = True
    return sure


@pytest.mark.parametrize('share', [0.1, 0.5, 0.8])
def test_is_the_definition(share, device):
    torch.manual_seed(0)
    scores = torch.rand(4, 9, 13)
    found = surest_pixels(scores.to(device), share)
    assert found.device.type == device.type
    assert found.cpu().equal(naive(scores, share))


def test_by_hand():
    """Margins .6 and .2 of class 0, .4, .3 and .1 of class 1."""
    first = torch.tensor([[0.8, 0.6, 0.3, 0.35, 0.45]])
    scores = torch.stack([first, 1 - first])
    found = surest_pixels(scores, 0.5)
    assert found.tolist() == [[True, False, True, True, False]]


def test_ties_stay_and_no_class_is_lost():
    scores = torch.tensor([[[1.0, 1, 1, 0]], [[0.0, 0, 0, 1]]])
    assert surest_pixels(scores, 0.01).all()


def test_all():
    torch.manual_seed(0)
    assert surest_pixels(torch.rand(3, 4, 5), 1.0).all()
    assert surest_pixels(torch.rand(1, 4, 5), 0.5).all()


@pytest.mark.parametrize('share', [0, -0.5, 1.01])
def test_no_share(share):
    with pytest.raises(ValueError, match=f'sure_share={share} must be'):
        surest_pixels(torch.rand(2, 3, 3), share)
