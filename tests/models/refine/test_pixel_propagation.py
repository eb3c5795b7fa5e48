"""Label propagation on pixels against the formula of LPOSS+."""

import pytest
import torch

from mmseg_weakclip.models.refine.pixel_propagation import (
    lab_colors,
    propagate_pixels,
)

SIZE = (5, 7)


def naive_lab(rgb):
    """CIELAB of one colour in [0, 1], by the standard's own steps."""
    linear = [
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
        for v in rgb
    ]
    rows = (
        (0.4124564, 0.3575761, 0.1804375),
        (0.2126729, 0.7151522, 0.0721750),
        (0.0193339, 0.1191920, 0.9503041),
    )
    white = (0.95047, 1.0, 1.08883)
    roots = []
    for row, whole in zip(rows, white):
        t = sum(a * b for a, b in zip(row, linear)) / whole
        small = t / (3 * (6 / 29) ** 2) + 4 / 29
        roots.append(t ** (1 / 3) if t > (6 / 29) ** 3 else small)
    x, y, z = roots
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def naive_solution(rgb, maps, window, sigma, alpha):
    """Solve the system of one image, pair by pair and exactly."""
    height, width = rgb.shape[1:]
    colors = lab_colors(rgb[None])[0].flatten(1).T.double()
    count, reach = height * width, window // 2
    weights = torch.zeros(count, count, dtype=torch.float64)
    for i in range(count):
        for j in range(count):
            dy, dx = i // width - j // width, i % width - j % width
            if i != j and max(abs(dy), abs(dx)) <= reach:
                length = (colors[i] - colors[j]).norm()
                weights[i, j] = torch.exp(-length / sigma)
    scale = weights.sum(1).rsqrt()
    system = torch.eye(count) - alpha * scale[:, None] * weights * scale
    right = (1 - alpha) * maps.flatten(1).T.double()
    return torch.linalg.solve(system, right).T.view(-1, height, width)


def test_lab_by_the_standard():
    rgb = torch.rand(1, 3, 2, 3)
    rgb[0, :, 0, 0] = 0.01
    found = lab_colors(rgb)[0]
    for y in range(2):
        for x in range(3):
            values = naive_lab(rgb[0, :, y, x].tolist())
            expected = [a / b for a, b in zip(values, (100, 128, 128))]
            assert torch.allclose(
                found[:, y, x], torch.tensor(expected), atol=1e-5
            )
    # White has no colour.
    white = lab_colors(torch.ones(1, 3, 1, 1)).flatten()
    assert torch.allclose(white, torch.tensor([1.0, 0, 0]), atol=1e-4)


@pytest.mark.parametrize('window', [3, 5, 13])
def test_is_the_solution(device, window):
    rgb, maps = torch.rand(2, 3, *SIZE), torch.randn(2, 4, *SIZE)
    found = propagate_pixels(
        rgb.to(device), maps.to(device), window, 0.3, 0.8, 40
    ).cpu()
    for image in range(2):
        expected = naive_solution(rgb[image], maps[image], window, 0.3, 0.8)
        assert torch.allclose(found[image].double(), expected, atol=1e-4)


def test_images_and_maps_are_apart(device, monkeypatch):
    rgb = torch.rand(2, 3, *SIZE, device=device)
    maps = torch.randn(2, 5, *SIZE, device=device)
    whole = propagate_pixels(rgb, maps)
    name = 'mmseg_weakclip.models.refine.pixel_propagation.NUMBERS_AT_ONCE'
    monkeypatch.setattr(name, 2 * SIZE[0] * SIZE[1])
    each = propagate_pixels(rgb[1:], maps[1:])
    assert torch.allclose(whole[1:], each, atol=1e-6)


def test_two_colours_do_not_mix(device):
    """Each side of an edge agrees on the sign of its mean."""
    rgb = torch.zeros(1, 3, 6, 8, device=device)
    rgb[..., 4:] = 1
    maps = torch.full((1, 1, 6, 8), -1.0, device=device)
    maps[..., 4:] = 1
    maps[..., 2, 2], maps[..., 2, 6] = 1, -1
    found = propagate_pixels(rgb, maps)
    assert (found[..., :4] < 0).all()
    assert (found[..., 4:] > 0).all()


def test_half_precision_around_changes_nothing(device):
    rgb = torch.rand(1, 3, *SIZE, device=device)
    maps = torch.randn(1, 2, *SIZE, device=device)
    plain = propagate_pixels(rgb, maps)
    with torch.autocast(device.type, torch.bfloat16):
        assert torch.equal(propagate_pixels(rgb, maps), plain)


def test_maps_are_resized_to_the_image():
    found = propagate_pixels(torch.rand(1, 3, 6, 8), torch.rand(1, 2, 3, 4))
    assert found.shape == (1, 2, 6, 8)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(window=4), 'window=4'),
        (dict(window=1), 'window=1'),
        (dict(sigma=0.0), 'sigma=0.0'),
        (dict(alpha=1.0), 'alpha=1.0'),
        (dict(iterations=0), 'iterations=0'),
    ],
    ids=str,
)
def test_bad_values(options, message):
    with pytest.raises(ValueError, match=message):
        propagate_pixels(
            torch.rand(1, 3, *SIZE), torch.rand(1, 2, *SIZE), **options
        )
