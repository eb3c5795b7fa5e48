"""What benchmarks/toyland writes: a table, and a picture of maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image

from mmseg_weakclip.common.overlay import tile_pictures
from mmseg_weakclip.evaluation.map_quality import (
    sample_quality,
    summarize_quality,
)
from mmseg_weakclip.evaluation.threshold_metrics import (
    PrecisionRecall,
    set_precision_recall,
)
from mmseg_weakclip.models.clims.background_cache import BackgroundCache
from mmseg_weakclip.pseudo_masks.store import load_scores
from mmseg_weakclip.toyland.backgrounds import scene_backgrounds
from mmseg_weakclip.toyland.objects import CLASSES, USUAL_BACKGROUND
from mmseg_weakclip.toyland.writer import IMAGES, LISTS, MASKS

COLUMNS = {
    'raw': 'mIoU',
    'refined': 'refined',
    'wrong_sign': 'wrong sign',
    'coverage': 'covered',
    'purity': 'pure',
    'usual': 'on usual background',
    'minutes': 'minutes',
    'gib': 'GiB',
}


def read_names(root: Path, split: str) -> list[str]:
    """Ids of a split's scenes."""
    return (root / LISTS / f'{split}.txt').read_text().split()


def folder_quality(root: Path, folder: Path, split: str) -> dict[str, float]:
    """What is wrong with class maps, in percent; see ``summarize_quality``.

    Args:
        root: Folder of the world.
        folder: Of a ``PseudoMaskWriter`` with ``score_stride``.
        split: Its images.
    """
    found = []
    for name in read_names(root, split):
        scores, classes = load_scores(folder / f'scores/{name}.npz')
        truth = np.asarray(Image.open(root / MASKS / f'{name}.png'))
        found += sample_quality(scores.numpy(), classes, truth)
    return summarize_quality(found)


def usual_background_share(root: Path, folder: Path, split: str) -> float:
    """Of the background where an object usually is, how much is marked as it.

    Co-occurrence is what image labels cannot tell from the object: the water
    below a boat. Over the scenes on the usual background of one of their
    classes, in percent of their background pixels.

    Args:
        root: Folder of the world.
        folder: Of a ``PseudoMaskWriter``.
        split: Its images.
    """
    backgrounds = scene_backgrounds(root, split)
    marked = total = 0
    for name in read_names(root, split):
        truth = np.asarray(Image.open(root / MASKS / f'{name}.png'))
        mask = np.asarray(Image.open(folder / f'masks/{name}.png'))
        for label in np.unique(truth[truth > 0]):
            if USUAL_BACKGROUND[CLASSES[label - 1]] == backgrounds[name]:
                marked += int(((mask == label) & (truth == 0)).sum())
                total += int((truth == 0).sum())
    return 100 * marked / total if total else float('nan')


def usual_scenes(root: Path, split: str, count: int) -> list[str]:
    """The first scenes whose first object is where it usually is.

    Args:
        root: Folder of the world.
        split: Whose scenes.
        count: How many.
    """
    backgrounds = scene_backgrounds(root, split)
    found = []
    for name in read_names(root, split):
        truth = np.asarray(Image.open(root / MASKS / f'{name}.png'))
        first = CLASSES[truth[truth > 0].min() - 1]
        if USUAL_BACKGROUND[first] == backgrounds[name]:
            found.append(name)
    return found[:count]


def extraction_quality(
    root: Path, cache: BackgroundCache, split: str
) -> PrecisionRecall:
    """Extracted texts against the one texture that is behind each object.

    Args:
        root: Folder of the world.
        cache: What ``tools/extract_backgrounds.py`` wrote.
        split: Of which images.
    """
    textures = scene_backgrounds(root, split)
    found = {
        (name, label): cache.texts(name, label)
        for name, entry in cache.images.items()
        for label in entry
    }
    return set_precision_recall(found, {k: [textures[k[0]]] for k in found})


def paint_map(path: Path) -> Image.Image:
    """The map of an image's first class, dark to bright."""
    scores, _ = load_scores(path)
    colors = colormaps['viridis'](scores[0].numpy(), bytes=True)
    return Image.fromarray(colors[..., :3])


def draw_rows(
    root: Path,
    maps: Mapping[str, Path],
    masks: Mapping[str, Path],
    names: Sequence[str],
) -> Image.Image:
    """Images, maps of their first class, masks and truth.

    Args:
        root: Folder of the world.
        maps: Title -> folder of a ``PseudoMaskWriter``, as in
            :func:`folder_quality`.
        masks: The same, to show masks of.
        names: Which images.
    """

    def read(folder: Path, suffix: str = 'png') -> list[Image.Image]:
        return [Image.open(folder / f'{name}.{suffix}') for name in names]

    columns = {'image': read(root / IMAGES, 'jpg')}
    for title, folder in maps.items():
        columns[title] = [
            paint_map(folder / f'scores/{name}.npz') for name in names
        ]
    for title, folder in masks.items():
        columns[f'{title}: mask'] = read(folder / 'masks')
    columns['truth'] = read(root / MASKS)
    grid = tile_pictures(columns, side=120)
    return grid.quantize(256, dither=Image.Dither.NONE)


def cell(values: Sequence[float | None], digits: int = 1) -> str:
    """One value, or the mean and half the range of several."""
    if None in values:
        return ''
    if len(values) == 1:
        return f'{values[0]:.{digits}f}'
    half = (max(values) - min(values)) / 2
    return f'{np.mean(values):.{digits}f} ± {half:.{digits}f}'


def table(
    rows: Mapping[tuple[str, str], Sequence[Mapping[str, float | None]]],
) -> str:
    """The ladder as Markdown.

    Args:
        rows: Name and whether the test sees image labels -> values of each
            run by :data:`COLUMNS`' keys; what is not there stays empty.
    """
    lines = [
        f'| | image labels | {" | ".join(COLUMNS.values())} |',
        f'|{"---|" * (2 + len(COLUMNS))}',
    ]
    for (name, labels), runs in rows.items():
        values = [cell([run.get(key) for run in runs]) for key in COLUMNS]
        lines.append(f'| {name} | {labels} | {" | ".join(values)} |')
    return '\n'.join(lines)


def report(
    rows: Mapping[tuple[str, str], Sequence[Mapping[str, float | None]]],
    machine: str,
    seeds: int,
    start: str,
    extraction: PrecisionRecall,
) -> str:
    """The whole page.

    Args:
        rows: See :func:`table`.
        machine: What the scores were made on.
        seeds: Trainings of each row that has one.
        start: Row that WeakCLIP starts from.
        extraction: See :func:`extraction_quality`.
    """
    return (
        '# Toyland, all ways to masks\n\n'
        'mIoU in percent on the 300 scenes of val, by `python '
        f'benchmarks/toyland` ({machine}). Trained rows are means of '
        f'{seeds} trainings with half their range; refined is after PAR or '
        'CRF; minutes include training and start of the tools; GiB is the '
        'peak of the main process. Rows with a + add to excel with heads '
        f'apart. WeakCLIP starts from the refined masks of {start!r}.\n\n'
        'Of the class maps: wrong sign, percent of them that score below '
        'their surroundings on their own class (area under the ROC curve '
        'below one half); covered, percent of the class above the threshold '
        'of 0.5; pure, percent of what is above it that is the class. '
        "WeakCLIP's are probabilities. Of the masks (refined where there is "
        'such): on usual background, percent of the background that is marked '
        'as an object, in scenes on the usual background of that object.'
        '\n\n'
        'The texts that the extractor found for the training images are the '
        "scene's texture in "
        f'{extraction.precision:.0%} of cases (precision), and name it for '
        f'{extraction.recall:.0%} of objects (recall).\n\n'
        f'{table(rows)}\n'
    )
