"""Colours that tell apart the classes of one image.

Differences are CIEDE2000 (Sharma, Wu and Dalal, "The CIEDE2000
color-difference formula", Color Research & Application 30, 2005), of sRGB
colours in CIELAB under D65.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from mmseg_weakclip.apps.run_folder.store import RunFolder
from mmseg_weakclip.common.masks import label_colors

from .compare import Comparison

Color = tuple[int, int, int]

# Least difference between two classes that meet in an image.
LEAST_DIFFERENCE = 12.0
# Pixels without a class are white in every image.
WHITE: Color = (255, 255, 255)
# Replacements: bright enough to see on a dark photo, dark enough to see on a
# light one, and colourful, since photos have much grey.
LEVELS = tuple(range(0, 256, 17))
LIGHTNESS = (28.0, 93.0)
LEAST_CHROMA = 18.0

# Linear sRGB to XYZ (IEC 61966-2-1), and the white of D65.
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
D65 = np.array([0.95047, 1.0, 1.08883])


@dataclass(frozen=True)
class Palette:
    """Colours of the classes of a run.

    Attributes:
        colors: RGB (0..255) of each class.
        moved: Ids of classes whose colour was replaced.
        close: Pairs of classes that meet, and their difference, which is
            below :data:`LEAST_DIFFERENCE`; the smallest first.
    """

    colors: tuple[Color, ...]
    moved: tuple[int, ...]
    close: tuple[tuple[int, int, float], ...]


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Convert sRGB colours, 0 to 255, (..., 3), to CIELAB under D65."""
    values = np.asarray(rgb, float) / 255
    linear = np.where(
        values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
    )
    xyz = linear @ TO_XYZ.T / D65
    root = np.where(
        xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29
    )
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def color_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return CIEDE2000 between colours.

    Args:
        first: Colours in CIELAB, (..., 3).
        second: Colours in CIELAB, (..., 3), of a shape that broadcasts.

    Returns:
        Differences, 0 for equal colours, of the shape without the last axis.
    """
    lightness1, a1, b1 = np.moveaxis(np.asarray(first, float), -1, 0)
    lightness2, a2, b2 = np.moveaxis(np.asarray(second, float), -1, 0)
    chroma7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - np.sqrt(chroma7 / (chroma7 + 25**7)) / 2
    chroma1, chroma2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    hue1 = np.degrees(np.arctan2(b1, stretch * a1)) % 360
    hue2 = np.degrees(np.arctan2(b2, stretch * a2)) % 360

    # The shorter way around the circle; a grey has no hue of its own.
    grey = chroma1 * chroma2 == 0
    turn = np.where(grey, 0, (hue2 - hue1 + 180) % 360 - 180)
    # At exactly half a turn the formula keeps the sign of the difference.
    turn = np.where(hue2 - hue1 == 180, 180, turn)
    delta_hue = 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn / 2))
    far = np.abs(hue1 - hue2) > 180
    mean_hue = (hue1 + hue2 + np.where(far, 360, 0)) / 2 % 360
    mean_hue = np.where(grey, hue1 + hue2, mean_hue)

    mean_lightness = (lightness1 + lightness2) / 2
    mean_chroma = (chroma1 + chroma2) / 2
    weight = (
        1
        - 0.17 * np.cos(np.radians(mean_hue - 30))
        + 0.24 * np.cos(np.radians(2 * mean_hue))
        + 0.32 * np.cos(np.radians(3 * mean_hue + 6))
        - 0.20 * np.cos(np.radians(4 * mean_hue - 63))
    )
    offset = (mean_lightness - 50) ** 2
    in_lightness = (lightness2 - lightness1) / (
        1 + 0.015 * offset / np.sqrt(20 + offset)
    )
    in_chroma = (chroma2 - chroma1) / (1 + 0.045 * mean_chroma)
    in_hue = delta_hue / (1 + 0.015 * mean_chroma * weight)
    blue = 30 * np.exp(-(((mean_hue - 275) / 25) ** 2))
    ratio = mean_chroma**7 / (mean_chroma**7 + 25**7)
    rotation = -2 * np.sqrt(ratio) * np.sin(np.radians(2 * blue))
    total = in_lightness**2 + in_chroma**2 + in_hue**2
    return np.sqrt(np.maximum(total + rotation * in_chroma * in_hue, 0))


def meeting_classes(
    images: Iterable[Collection[int]], num_classes: int
) -> np.ndarray:
    """Return which classes appear together in an image.

    Args:
        images: Ids of the classes of each image.
        num_classes: Number K of classes.

    Returns:
        Symmetric, bool, (K, K), False on the diagonal.
    """
    meet = np.zeros((num_classes, num_classes), bool)
    for ids in images:
        found = list(ids)
        meet[np.ix_(found, found)] = True
    return meet & ~np.eye(num_classes, dtype=bool)


def separate_colors(
    colors: Sequence[Color], fixed: Collection[int], meet: np.ndarray
) -> Palette:
    """Replace colours of classes that are hard to tell from those they meet.

    As many classes as possible keep their colour. A replacement is at least
    :data:`LEAST_DIFFERENCE` from those it meets, if there is any such, and
    among these the farthest from all other colours in use.

    Args:
        colors: RGB (0..255) of each of K classes.
        fixed: Ids of classes that keep their colour whatever it is.
        meet: Whether two classes meet in an image, (K, K).
    """
    chosen = [*colors, WHITE]
    count = len(colors)
    # White, the last, meets all.
    meet = np.pad(meet, (0, 1), constant_values=True)
    lab = to_lab(np.array(chosen))
    kept = [*sorted(fixed), count]
    moved = []
    for k in range(count):
        if k in fixed:
            continue
        near = [j for j in kept if meet[k, j]]
        if (color_difference(lab[k], lab[near]) < LEAST_DIFFERENCE).any():
            moved.append(k)
        else:
            kept.append(k)
    if moved:
        candidates = _candidates()
        choices = to_lab(np.array(candidates))
        # Of each candidate to each colour in use.
        distances = color_difference(choices[:, None], lab[None])
        for k in moved:
            near = [j for j in kept if meet[k, j]]
            to_near = distances[:, near].min(1)
            scores = distances[:, kept].min(1)
            if to_near.max() >= LEAST_DIFFERENCE:
                scores[to_near < LEAST_DIFFERENCE] = -1
            else:
                scores = to_near
            best = int(scores.argmax())
            chosen[k] = candidates[best]
            distances[:, k] = color_difference(choices, choices[best])
            kept.append(k)
    return Palette(
        tuple(chosen[:count]), tuple(moved), _close_pairs(chosen, meet)
    )


def _candidates() -> list[Color]:
    colors = list(product(LEVELS, LEVELS, LEVELS))
    lab = to_lab(np.array(colors))
    low, high = LIGHTNESS
    good = (lab[:, 0] >= low) & (lab[:, 0] <= high)
    good &= np.hypot(lab[:, 1], lab[:, 2]) >= LEAST_CHROMA
    return [color for color, is_good in zip(colors, good) if is_good]


def _close_pairs(
    colors: Sequence[Color], meet: np.ndarray
) -> tuple[tuple[int, int, float], ...]:
    """Return the pairs of classes that meet and are hard to tell apart."""
    count = len(colors) - 1  # without white
    lab = to_lab(np.array(colors))
    differences = color_difference(lab[:, None], lab[None])
    close = np.triu(meet & (differences < LEAST_DIFFERENCE), 1)
    pairs = [
        (int(i), int(j), float(differences[i, j]))
        for i, j in np.argwhere(close[:count, :count])
    ]
    return tuple(sorted(pairs, key=lambda pair: pair[2]))


def recolor(
    run: RunFolder, comparisons: Sequence[Comparison]
) -> tuple[RunFolder, Palette]:
    """Return a run with colours that tell apart the classes of its images.

    Background and colours that the user chose stay. Where the run does not
    say which these are, they are those that the package would not have given.

    Args:
        run: Run with colours as its masks have them.
        comparisons: Comparisons of all images of the run.
    """
    ids = {name: k for k, name in enumerate(run.names)}
    met = meeting_classes(
        (
            {ids[label] for label in c.image.labels}.union(
                *(np.flatnonzero(cover).tolist() for cover in c.cover.values())
            )
            for c in comparisons
        ),
        len(run.classes),
    )
    given = label_colors(len(run.classes))
    chosen = {
        k
        for k, info in enumerate(run.classes)
        if k == 0 or info.own_color or list(info.color) != given[k]
    }
    palette = separate_colors([c.color for c in run.classes], chosen, met)
    classes = tuple(
        replace(info, color=color)
        for info, color in zip(run.classes, palette.colors, strict=True)
    )
    return replace(run, classes=classes), palette
