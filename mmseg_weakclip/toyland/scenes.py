"""Scenes of toyland: objects on backgrounds, with exact masks and labels.

Every scene is a pure function of (seed, index): the same numbers give the
same pixels in any order and any process.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from .objects import CLASSES, PARTS, USUAL_BACKGROUND, Ellipse, Part
from .textures import BACKGROUNDS, paint_background

# Scenes are drawn this many times larger and averaged down.
SUPERSAMPLING = 2
# cv2 takes fixed-point coordinates with this many fractional bits.
FRACTION_BITS = 6
# Colour ranges (low RGB, high RGB) of paints with restricted colours.
PAINT_RANGES = {'crown': ((10, 70, 10), (210, 200, 70))}
ANY_COLOUR = ((20, 20, 20), (236, 236, 236))


@dataclass(frozen=True)
class SceneStyle:
    """Parameters of the composition of scenes.

    Args:
        counts: Probability of 0, 1, 2, ... objects.
        radius: Range of an object's half size, as a share of the image side.
        crowding: Divides the radius where several objects share the scene.
        usual: Share of scenes on the usual background of their first object.
        min_visible: Smallest share of its pixels that every object keeps
            when later ones are painted over it.
        noise: Standard deviation of the pixel noise (0..255).
    """

    counts: Sequence[float] = (0.0, 0.5, 0.35, 0.15)
    radius: tuple[float, float] = (0.18, 0.38)
    crowding: float = 1.15
    usual: float = 0.7
    min_visible: float = 0.4
    noise: float = 6.0


@dataclass(frozen=True)
class Scene:
    """Image of a scene with its truth.

    Attributes:
        image: RGB image, uint8, (size, size, 3).
        mask: Class ids, uint8, (size, size): 0 is background, i + 1 is
            ``CLASSES[i]``.
        labels: Ids (0-based) of the classes in the scene, sorted.
        background: Id of the background in ``BACKGROUNDS``.
    """

    image: np.ndarray
    mask: np.ndarray
    labels: tuple[int, ...]
    background: int


def _paints(
    parts: Sequence[Part], rng: Generator
) -> dict[str, tuple[int, ...]]:
    names = sorted({p.paint for p in parts if isinstance(p.paint, str)})
    return {
        name: tuple(
            int(v) for v in rng.integers(*PAINT_RANGES.get(name, ANY_COLOUR))
        )
        for name in names
    }


def _draw(
    canvas: np.ndarray,
    part: Part,
    colour: Sequence[int],
    to_canvas: np.ndarray,
) -> None:
    """Fill one part; ``to_canvas`` is the (2, 3) affine map of its frame."""
    one = 1 << FRACTION_BITS
    if isinstance(part, Ellipse):
        # An ellipse as a polygon takes any affine map, mirroring included.
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        tilt = np.deg2rad(part.tilt)
        a, b = part.radii[0] * np.cos(turn), part.radii[1] * np.sin(turn)
        points = np.stack(
            [
                part.centre[0] + a * np.cos(tilt) - b * np.sin(tilt),
                part.centre[1] + a * np.sin(tilt) + b * np.cos(tilt),
            ],
            1,
        )
    else:
        points = np.asarray(part.points, np.float64)
    points = points @ to_canvas[:, :2].T + to_canvas[:, 2]
    cv2.fillPoly(
        canvas,
        [np.round(points * one).astype(np.int32)],
        tuple(colour),
        shift=FRACTION_BITS,
    )


def _placement(
    rng: Generator, style: SceneStyle, count: int, side: int
) -> np.ndarray:
    radius = rng.uniform(*style.radius)
    if count > 1:
        radius /= style.crowding
    margin = min(radius, 0.5)
    centre = rng.uniform(margin, 1 - margin, 2)
    angle = np.deg2rad(rng.uniform(-12, 12))
    mirror = rng.choice((-1.0, 1.0))
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    linear = rotation * np.array([mirror, 1.0]) * radius * side
    return np.concatenate([linear, centre[:, None] * side], 1)


def draw_scene(
    rng: Generator, size: int = 96, style: SceneStyle = SceneStyle()
) -> Scene:
    """Draw a random scene.

    Args:
        rng: Generator of all random numbers.
        size: Side of the image in pixels.
        style: Composition of the scene.
    """
    count = int(rng.choice(len(style.counts), p=style.counts))
    classes = rng.choice(len(CLASSES), count, replace=False)
    background = int(rng.integers(len(BACKGROUNDS)))
    if count and rng.random() < style.usual:
        background = BACKGROUNDS.index(USUAL_BACKGROUND[CLASSES[classes[0]]])
    side = size * SUPERSAMPLING
    image = paint_background(BACKGROUNDS[background], size, rng)
    image = cv2.resize(
        image.clip(0, 255).astype(np.uint8),
        (side, side),
        interpolation=cv2.INTER_NEAREST,
    )
    # Later objects cover earlier ones; repeat until all are visible.
    while True:
        layers = []
        mask = np.zeros((side, side), np.uint8)
        for class_id in classes:
            to_canvas = _placement(rng, style, count, side)
            shape = np.zeros_like(mask)
            for part in PARTS[CLASSES[class_id]]:
                _draw(shape, part, (1,), to_canvas)
            mask[shape > 0] = class_id + 1
            layers.append((class_id, to_canvas, int(shape.sum())))
        visible = np.bincount(mask.ravel(), minlength=len(CLASSES) + 1)
        if all(
            visible[class_id + 1] >= style.min_visible * area
            for class_id, _, area in layers
        ):
            break
    for class_id, to_canvas, _ in layers:
        parts = PARTS[CLASSES[class_id]]
        paints = _paints(parts, rng)
        for part in parts:
            _draw(image, part, paints.get(part.paint, part.paint), to_canvas)
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image = (image + style.noise * noise).clip(0, 255).astype(np.uint8)
    return Scene(
        image,
        mask[::SUPERSAMPLING, ::SUPERSAMPLING].copy(),
        tuple(sorted(int(c) for c in classes)),
        background,
    )


def make_scene(
    seed: int, index: int, size: int = 96, style: SceneStyle = SceneStyle()
) -> Scene:
    """Draw one scene of a data set.

    Args:
        seed: Seed of the data set.
        index: Number of the scene.
        size: Side of the image in pixels.
        style: Composition of the scene.
    """
    return draw_scene(np.random.default_rng((seed, index)), size, style)
