"""Spread class maps over pixels that are near and have one colour.

The second step of LPOSS+ (Stojnic et al., CVPR 2025): label propagation once
more, from patches to pixels, where what looks alike is what has nearly the
same colour in CIELAB.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.models.transfer import device_constant

from .label_propagation import EPS, solve_propagation

# sRGB to CIE XYZ, divided by the white point D65, row by row.
XYZ = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)
# Ranges of L, a and b, by which they are divided.
RANGES = (100.0, 128.0, 128.0)
# Numbers of class maps that the solver works on at a time, 64 MiB.
NUMBERS_AT_ONCE = 2**24


def lab_colors(rgb: Tensor) -> Tensor:
    """Return CIELAB colours, divided by (100, 128, 128).

    Args:
        rgb: sRGB colours in [0, 1], (B, 3, H, W).

    Returns:
        float32, (B, 3, H, W).
    """
    with torch.autocast(rgb.device.type, enabled=False):
        rgb = rgb.float().clamp(0, 1)
        linear = torch.where(
            rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4
        )
        red, green, blue = linear.unbind(1)
        roots = []
        for a, b, c in XYZ:
            value = a * red + b * green + c * blue
            roots.append(
                torch.where(
                    value > (6 / 29) ** 3,
                    value.clamp(min=EPS) ** (1 / 3),
                    value * (29 / 6) ** 2 / 3 + 4 / 29,
                )
            )
        x, y, z = roots
        lab = torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)
        ranges = device_constant(RANGES, lab.device)
        return lab / ranges[:, None, None]


def propagate_pixels(
    rgb: Tensor,
    maps: Tensor,
    window: int = 13,
    sigma: float = 0.01,
    alpha: float = 0.95,
    iterations: int = 10,
) -> Tensor:
    """Solve (I - alpha S) Y = (1 - alpha) X on the pixels of images.

    Two pixels within a window are weighed by the distance of their colours,
    ``w_ij = exp(-|Lab_i - Lab_j| / sigma)`` (the length of the difference),
    and ``S = D^-1/2 W D^-1/2``.

    An image holds half of its weights, ``2 (window^2 - 1)`` bytes a pixel:
    50 MB for 336 x 448 pixels. Some class maps are solved at a time.

    Args:
        rgb: sRGB colours in [0, 1], (B, 3, H, W).
        maps: Class maps X, (B, K, h, w), resized to the images first.
        window: Side of the window in pixels, odd.
        sigma: Difference of colours that are still alike.
        alpha: Weight of the others beside one's own scores, in [0, 1).
        iterations: Steps of the solver.

    Returns:
        float32, (B, K, H, W).

    Raises:
        ValueError: The window is even or too small, ``sigma`` is not above 0
            or ``alpha`` not in [0, 1).
    """
    if window < 3 or window % 2 == 0 or sigma <= 0:
        raise ValueError(
            f'window={window} must be odd and at least 3, sigma={sigma} '
            'above 0'
        )
    with torch.autocast(maps.device.type, enabled=False):
        maps, size = maps.float(), rgb.shape[-2:]
        if maps.shape[-2:] != size:
            maps = F.interpolate(maps, size, mode='bilinear')
        at_once = max(1, NUMBERS_AT_ONCE // (size[0] * size[1]))
        solved = []
        for colors, own in zip(lab_colors(rgb), maps):
            graph = _PixelGraph(colors, window // 2, sigma)
            solved.append(
                torch.cat(
                    [
                        solve_propagation(
                            graph.multiply, some, alpha, iterations, (1, 2)
                        )
                        for some in own.split(at_once)
                    ]
                )
            )
        return torch.stack(solved)


class _PixelGraph:
    """Normalised weights between the pixels of an image (3, H, W)."""

    def __init__(self, colors: Tensor, reach: int, sigma: float) -> None:
        self.size = (colors.shape[1], colors.shape[2])
        # Each pair is in the half of offsets that come later, row by row.
        self.offsets = [
            (dy, dx)
            for dy in range(reach + 1)
            for dx in range(-reach, reach + 1)
            if (dy > 0 or dx > 0)
            and dy < self.size[0]
            and abs(dx) < self.size[1]
        ]
        self.weights = [
            (-(colors[one] - colors[other]).norm(dim=0) / sigma).exp()
            for one, other in self._pairs()
        ]
        sums = torch.zeros(self.size, device=colors.device)
        for weight, (one, other) in zip(self.weights, self._pairs()):
            sums[one[1:]] += weight
            sums[other[1:]] += weight
        scale = sums.clamp(min=EPS).rsqrt()
        for weight, (one, other) in zip(self.weights, self._pairs()):
            weight.mul_(scale[one[1:]]).mul_(scale[other[1:]])

    def _pairs(self) -> Iterator[tuple[tuple, tuple]]:
        """Yield the slices of all pixels with a neighbour, and of those."""
        height, width = self.size
        for dy, dx in self.offsets:
            left, right = max(0, -dx), max(0, dx)
            here = slice(0, height - dy), slice(left, width - right)
            there = slice(dy, height), slice(right, width - left)
            yield (slice(None), *here), (slice(None), *there)

    def multiply(self, maps: Tensor) -> Tensor:
        """Return the product with maps (K, H, W)."""
        result = torch.zeros_like(maps)
        for weight, (one, other) in zip(self.weights, self._pairs()):
            result[one].addcmul_(maps[other], weight)
            result[other].addcmul_(maps[one], weight)
        return result
