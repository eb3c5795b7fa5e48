"""Backgrounds of toyland: six procedural textures."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

Texture = Callable[[np.ndarray, np.ndarray, Generator], np.ndarray]


def _noise(
    y: np.ndarray, x: np.ndarray, rng: Generator, blur: tuple[float, float]
) -> np.ndarray:
    """Return smooth noise of unit variance; ``blur`` is (sigma_x, sigma_y)."""
    field = rng.standard_normal((len(y), x.shape[1]), dtype=np.float32)
    if max(blur) > 0:
        field = cv2.GaussianBlur(
            field, (0, 0), max(blur[0], 1e-3), sigmaY=max(blur[1], 1e-3)
        )
        field /= field.std() + 1e-6
    return field[..., None]


def water(y: np.ndarray, x: np.ndarray, rng: Generator) -> np.ndarray:
    """Paint blue waves."""
    phase = rng.uniform(0, 2 * np.pi)
    waves = np.sin(y / 2.5 + 3 * np.sin(x / 9 + phase))
    return (40, 120, 200) + 18 * waves[..., None]


def road(y: np.ndarray, x: np.ndarray, rng: Generator) -> np.ndarray:
    """Paint grey with fine noise."""
    return (95, 95, 95) + 14 * _noise(y, x, rng, (0, 0))


def grass(y: np.ndarray, x: np.ndarray, rng: Generator) -> np.ndarray:
    """Paint green blades."""
    blades = _noise(y, x, rng, (0.4, 1.4))
    return (60, 150, 50) + 25 * blades * np.float32((0.3, 1, 0.3))


def sky(y: np.ndarray, x: np.ndarray, rng: Generator) -> np.ndarray:
    """Paint light blue with clouds."""
    return (150, 200, 230) + 16 * _noise(y, x, rng, (8, 8))


def sand(y: np.ndarray, x: np.ndarray, rng: Generator) -> np.ndarray:
    """Paint yellow with fine noise."""
    return (225, 200, 140) + 9 * _noise(y, x, rng, (0, 0))


def brick(y: np.ndarray, x: np.ndarray, rng: Generator) -> np.ndarray:
    """Paint red bricks with grey mortar."""
    shift_y, shift_x = rng.uniform(0, 8), rng.uniform(0, 14)
    y, x = y + shift_y, x + shift_x
    row = y // 8
    mortar = (y % 8 < 1) | ((x + 7 * (row % 2)) % 14 < 1)
    return np.where(
        mortar[..., None],
        np.float32((190, 180, 170)),
        np.float32((160, 70, 60)),
    )


TEXTURES: dict[str, Texture] = dict(
    water=water, road=road, grass=grass, sky=sky, sand=sand, brick=brick
)

BACKGROUNDS: tuple[str, ...] = tuple(TEXTURES)


def paint_background(name: str, size: int, rng: Generator) -> np.ndarray:
    """Paint a background.

    Args:
        name: One of :data:`BACKGROUNDS`.
        size: Side of the image in pixels; the pattern is that of 96 pixels,
            resized.
        rng: Generator of all random numbers.

    Returns:
        RGB image, float32, about 0..255 (not clipped), shape (size, size, 3).
    """
    side = 96
    y, x = np.mgrid[:side, :side].astype(np.float32)
    image = TEXTURES[name](y, x, rng).astype(np.float32)
    image += rng.normal(0, 12, 3).astype(np.float32)
    if size != side:
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return image
