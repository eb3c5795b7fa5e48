"""Objects of toyland: the shapes and paints of each class.

An object is a list of parts, painted in order, in a frame of its own: x to
the right, y down, about one unit to every side. A part's colour is either a
fixed RGB triple (a wheel is dark on every car) or the name of a paint that
is drawn at random once per object, so that colours do not reveal classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Paint = str | tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Polygon:
    """Filled polygon."""

    points: Sequence[Point]
    paint: Paint


@dataclass(frozen=True)
class Ellipse:
    """Filled ellipse; ``tilt`` is in degrees, clockwise."""

    centre: Point
    radii: tuple[float, float]
    paint: Paint
    tilt: float = 0.0


Part = Polygon | Ellipse


def disc(x: float, y: float, radius: float, paint: Paint) -> Ellipse:
    """Return a filled circle."""
    return Ellipse((x, y), (radius, radius), paint)


def box(
    left: float, top: float, right: float, bottom: float, paint: Paint
) -> Polygon:
    """Return a filled rectangle."""
    return Polygon(
        ((left, top), (right, top), (right, bottom), (left, bottom)), paint
    )


def petals(
    count: int, distance: float, radius: float, paint: Paint
) -> tuple[Ellipse, ...]:
    """Return discs on a ring around the flower's head at (0, -0.3)."""
    angles = [2 * math.pi * i / count for i in range(count)]
    return tuple(
        disc(
            distance * math.cos(a),
            -0.3 + distance * math.sin(a),
            radius,
            paint,
        )
        for a in angles
    )


PARTS: dict[str, tuple[Part, ...]] = {
    'boat': (
        Polygon(((-1, 0.25), (1, 0.25), (0.65, 0.75), (-0.65, 0.75)), 'hull'),
        box(-0.05, -1, 0.05, 0.25, (90, 60, 40)),
        Polygon(((0.08, -0.95), (0.8, 0.1), (0.08, 0.1)), 'sail'),
        Polygon(((-0.1, -0.8), (-0.55, 0.1), (-0.1, 0.1)), 'sail'),
    ),
    'car': (
        box(-1, 0, 1, 0.5, 'body'),
        Polygon(((-0.6, 0), (-0.35, -0.45), (0.4, -0.45), (0.65, 0)), 'body'),
        Polygon(
            ((-0.45, -0.05), (-0.28, -0.35), (0, -0.35), (0, -0.05)),
            (190, 210, 220),
        ),
        Polygon(
            ((0.08, -0.05), (0.08, -0.35), (0.34, -0.35), (0.5, -0.05)),
            (190, 210, 220),
        ),
        disc(-0.55, 0.5, 0.24, (20, 20, 20)),
        disc(0.55, 0.5, 0.24, (20, 20, 20)),
        disc(-0.55, 0.5, 0.1, (180, 180, 180)),
        disc(0.55, 0.5, 0.1, (180, 180, 180)),
    ),
    'house': (
        box(-0.8, -0.1, 0.8, 0.9, 'wall'),
        Polygon(((-1, -0.1), (0, -0.95), (1, -0.1)), 'roof'),
        box(-0.18, 0.3, 0.18, 0.9, 'door'),
        box(-0.6, 0.1, -0.3, 0.4, (230, 225, 150)),
        box(0.3, 0.1, 0.6, 0.4, (230, 225, 150)),
    ),
    'tree': (
        box(-0.14, 0.2, 0.14, 1, (100, 60, 30)),
        disc(0, -0.35, 0.6, 'crown'),
        disc(-0.4, 0, 0.4, 'crown'),
        disc(0.4, 0, 0.4, 'crown'),
        disc(-0.2, -0.3, 0.09, 'fruit'),
        disc(0.25, -0.1, 0.09, 'fruit'),
        disc(0.05, -0.65, 0.09, 'fruit'),
    ),
    'fish': (
        Ellipse((-0.1, 0), (0.75, 0.42), 'scales'),
        Polygon(((0.5, 0), (1, -0.4), (1, 0.4)), 'fin'),
        Polygon(((-0.25, -0.35), (0.2, -0.75), (0.25, -0.33)), 'fin'),
        disc(-0.5, -0.1, 0.11, (250, 250, 250)),
        disc(-0.5, -0.1, 0.055, (0, 0, 0)),
    ),
    'bird': (
        Ellipse((0, 0.1), (0.6, 0.32), 'feathers', tilt=-15),
        disc(0.5, -0.25, 0.24, 'feathers'),
        Polygon(((0.7, -0.3), (1, -0.2), (0.7, -0.13)), (240, 160, 40)),
        Polygon(((-0.1, 0), (-0.5, -0.8), (0.3, -0.05)), 'wing'),
        Polygon(((-0.5, 0.2), (-1, 0.1), (-0.95, 0.4)), 'feathers'),
        disc(0.55, -0.3, 0.06, (10, 10, 10)),
    ),
    'flower': (
        box(-0.06, 0.1, 0.06, 1, (40, 140, 40)),
        Ellipse((0.25, 0.6), (0.26, 0.1), (40, 140, 40), tilt=-30),
        *petals(6, 0.38, 0.28, 'petals'),
        disc(0, -0.3, 0.24, (250, 220, 30)),
    ),
    'rocket': (
        box(-0.28, -0.4, 0.28, 0.6, 'body'),
        Polygon(((-0.28, -0.4), (0, -1), (0.28, -0.4)), 'nose'),
        Polygon(((-0.28, 0.2), (-0.65, 0.8), (-0.28, 0.6)), 'fin'),
        Polygon(((0.28, 0.2), (0.65, 0.8), (0.28, 0.6)), 'fin'),
        disc(0, -0.15, 0.16, (180, 230, 250)),
        Polygon(((-0.18, 0.6), (0.18, 0.6), (0, 1)), (255, 150, 20)),
    ),
}

CLASSES: tuple[str, ...] = tuple(PARTS)

# Names of the parts in captions. No two classes share a name.
PART_WORDS: dict[str, tuple[str, ...]] = {
    'boat': ('sails', 'a mast', 'a hull'),
    'car': ('wheels', 'car windows', 'tyres'),
    'house': ('a roof', 'a door', 'walls'),
    'tree': ('a trunk', 'leaves', 'fruit'),
    'fish': ('fins', 'an eye', 'scales'),
    'bird': ('wings', 'a beak', 'feathers'),
    'flower': ('petals', 'a stem', 'a leaf'),
    'rocket': ('a nose cone', 'boosters', 'a flame'),
}

# Background of most scenes with this object.
USUAL_BACKGROUND: dict[str, str] = {
    'boat': 'water',
    'car': 'road',
    'house': 'grass',
    'tree': 'grass',
    'fish': 'water',
    'bird': 'sky',
    'flower': 'sand',
    'rocket': 'sky',
}
