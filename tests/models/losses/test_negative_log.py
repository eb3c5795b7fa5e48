import math

import pytest
import torch

from mmseg_weakclip.models.losses.functional import negative_log


def value_and_slope(point, device, **options):
    values = torch.tensor([point], device=device, requires_grad=True)
    curve = negative_log(values, **options)
    curve.backward()
    return curve.item(), values.grad.item()


@pytest.mark.parametrize('point', [0.1001, 0.28, 1.0, 1.7])
def test_is_the_logarithm_above_the_tangent(device, point):
    value, slope = value_and_slope(point, device)
    assert value == pytest.approx(-math.log(point), abs=1e-6)
    assert slope == pytest.approx(-1 / point)


@pytest.mark.parametrize('point', [0.0999, 0.0, -0.3, -1.0])
def test_is_a_tangent_below(device, point):
    value, slope = value_and_slope(point, device)
    assert value == pytest.approx(-math.log(0.1) + (0.1 - point) / 0.1)
    assert slope == pytest.approx(-10)


def test_value_and_slope_are_continuous(device):
    value, slope = value_and_slope(0.25, device, tangent_below=0.25)
    assert value == pytest.approx(math.log(4))
    assert slope == pytest.approx(-4)  # not twice that
    for side in (0.2499, 0.2501):
        near = value_and_slope(side, device, tangent_below=0.25)
        assert near == pytest.approx((value, slope), rel=1e-3)


def test_published_clamp_is_dead_outside(device):
    def clamped(point):
        return value_and_slope(point, device, tangent_below=None)

    assert clamped(0.28) == pytest.approx((-math.log(0.28), -1 / 0.28))
    assert clamped(-0.1) == pytest.approx((-math.log(1e-4), 0))
    assert clamped(1.5) == pytest.approx((-math.log(0.9999), 0), abs=1e-6)


@pytest.mark.parametrize('tangent_below', [0.1, None])
def test_half_precision_becomes_float32(device, tangent_below):
    values = torch.tensor([-1.0, 0.0, 1e-3, 1.0], device=device).half()
    curve = negative_log(values, tangent_below)
    assert curve.dtype == torch.float32
    assert torch.equal(curve, negative_log(values.float(), tangent_below))
