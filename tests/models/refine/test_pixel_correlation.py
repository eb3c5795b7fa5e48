import pytest
import torch

from mmseg_weakclip.models.refine import pixel_correlation
from mmseg_weakclip.models.refine.pixel_correlation import (
    correlate_maps,
    unit_features,
)


def naive(maps, features, power=1.0):
    """The equation, pair by pair, for one feature map of the maps' size."""
    result = torch.zeros_like(maps)
    for image in range(len(maps)):
        x = features[image].flatten(1)
        x = x - x.mean(1, keepdim=True)
        m = maps[image].flatten(1)
        for i in range(x.shape[1]):
            a = torch.stack(
                [
                    torch.cosine_similarity(x[:, i], x[:, j], dim=0)
                    for j in range(x.shape[1])
                ]
            )
            a = a.clamp(min=0) ** power
            result[image].flatten(1)[:, i] = (a * m).sum(1) / a.sum()
    return result


def test_two_kinds_of_positions_by_hand(device):
    """Positions of one kind share the mean of their values."""
    features = torch.tensor([[[[1.0, 1, 3, 3]], [[2, 2, 0, 0]]]])
    maps = torch.tensor([[[[1.0, 0, 0, 0]], [[0, 0, 4, 2]]]])
    found = correlate_maps(maps.to(device), [features.to(device)])
    expected = torch.tensor([[[[0.5, 0.5, 0, 0]], [[0, 0, 3, 3]]]])
    assert torch.allclose(found.cpu(), expected)


@pytest.mark.parametrize('power', [1.0, 3.0])
def test_the_equation(power, monkeypatch):
    maps, features = torch.rand(2, 3, 4, 5), torch.rand(2, 6, 4, 5)
    expected = naive(maps, features, power)
    assert torch.allclose(
        correlate_maps(maps, [features], power), expected, atol=1e-5
    )
    # In rows of three positions.
    monkeypatch.setattr(pixel_correlation, 'NUMBERS_AT_ONCE', 2 * 20 * 3)
    assert torch.allclose(
        correlate_maps(maps, [features], power), expected, atol=1e-5
    )


def test_invariances():
    maps = torch.rand(2, 3, 4, 6)
    features = [torch.rand(2, 8, 4, 6), torch.rand(2, 5, 8, 12)]
    found = correlate_maps(maps, features)
    assert found.amin() >= maps.amin()
    assert found.amax() <= maps.amax()
    constant = torch.full_like(maps, 0.3)
    assert torch.allclose(correlate_maps(constant, features), constant)
    scaled = [7 * features[0] + 2, 0.1 * features[1]]
    assert torch.allclose(correlate_maps(maps, scaled), found, atol=1e-5)
    flipped = correlate_maps(maps.flip(3), [one.flip(3) for one in features])
    assert torch.allclose(flipped.flip(3), found, atol=1e-5)
    alone = correlate_maps(maps[1:], [one[1:] for one in features])
    assert torch.allclose(alone, found[1:], atol=1e-6)


def test_products_are_the_mean_of_cosines():
    features = [torch.rand(1, 8, 4, 6), torch.rand(1, 5, 2, 3)]
    both = unit_features(features, (4, 6))
    assert both.shape == (1, 24, 13)
    alone = [unit_features([one], (4, 6)) for one in features]
    expected = sum(one @ one.transpose(1, 2) for one in alone) / 2
    assert torch.allclose(both @ both.transpose(1, 2), expected, atol=1e-6)


def test_positions_without_features_keep_their_value():
    features = torch.zeros(1, 3, 2, 2)
    maps = torch.rand(1, 2, 2, 2)
    assert torch.equal(correlate_maps(maps, [features]), maps)


def test_half_precision_and_gradients(device):
    maps = torch.rand(1, 2, 4, 4, device=device, requires_grad=True)
    features = torch.rand(1, 3, 4, 4, device=device, dtype=torch.bfloat16)
    with torch.autocast(device.type, torch.bfloat16):
        found = correlate_maps(maps, [features])
    assert found.dtype == torch.float32
    found.sum().backward()
    assert torch.isfinite(maps.grad).all()


def test_refusals():
    maps = torch.rand(1, 2, 2, 2)
    with pytest.raises(ValueError, match='at least one feature map'):
        correlate_maps(maps, [])
    with pytest.raises(ValueError, match='power=0'):
        correlate_maps(maps, [maps], power=0)
