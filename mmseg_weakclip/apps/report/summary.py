"""Summary of a run, in numbers and in a few sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np

from mmseg_weakclip.apps.run_folder.classifier import describe_classifier
from mmseg_weakclip.apps.run_folder.schema import (
    ROLES,
    SPLITS,
    TAGS,
    RunImage,
    SplitScores,
)
from mmseg_weakclip.apps.run_folder.store import RunFolder

from .compare import WEAK_PAIRS, Comparison, class_titles, pairs_of, rank
from .confusions import find_confusions

# The stage that writes the page is running while it does.
OWN_STAGE = 'report'
OPTIONS = ('method', 'segmenter')
# Not those of strftime, which follow the locale.
MONTHS = (
    'January',
    'February',
    'March',
    'April',
    'May',
    'June',
    'July',
    'August',
    'September',
    'October',
    'November',
    'December',
)


class SplitCounts(NamedTuple):
    """Numbers of images of a split: all, with true mask, without label."""

    images: int
    with_truth: int
    without_labels: int


@dataclass(frozen=True)
class DataFacts:
    """Numbers that describe the data of a run.

    Attributes:
        splits: Numbers of images of each split that has some.
        per_class: Class id -> split -> number of images with that label.
        sizes: Smallest, median and largest source image, by pixels,
            (height, width).
        resized: Number of images whose copy differs in size from the source.
    """

    splits: dict[str, SplitCounts]
    per_class: tuple[dict[str, int], ...]
    sizes: tuple[tuple[int, int], ...]
    resized: int


def count_data(run: RunFolder) -> DataFacts:
    """Count the images of a run, which must have some."""
    by_split = {
        split: [image for image in run.images if image.split == split]
        for split in SPLITS
    }
    by_split = {split: found for split, found in by_split.items() if found}
    sizes = sorted(
        (image.original_size for image in run.images),
        key=lambda size: (size[0] * size[1], size),
    )
    return DataFacts(
        splits={split: _count(found) for split, found in by_split.items()},
        per_class=tuple(
            {
                split: sum(name in image.labels for image in found)
                for split, found in by_split.items()
            }
            for name in run.names
        ),
        sizes=(sizes[0], sizes[len(sizes) // 2], sizes[-1]),
        resized=sum(i.size != i.original_size for i in run.images),
    )


def _count(images: Sequence[RunImage]) -> SplitCounts:
    return SplitCounts(
        len(images),
        sum(image.truth is not None for image in images),
        sum(not image.labels for image in images),
    )


def duration(seconds: float) -> str:
    """Format a time, such as '12 s' or '2 h 05 min'."""
    if seconds < 9.95:
        return f'{seconds:.1f} s'
    if seconds < 59.5:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    if minutes < 60:
        return f'{minutes} min'
    return f'{minutes // 60} h {minutes % 60:02d} min'


def percent(share: float) -> str:
    """Format a share of 0 to 1, such as '0.4 %', '3 %' or '42 %'."""
    value = 100 * share
    text = f'{value:.1f}' if value < 9.95 else f'{value:.0f}'
    return f'{text.removesuffix(".0")} %'


def run_date(run: RunFolder) -> str | None:
    """Return the day on which a run was last at work, '2 January 2026'.

    Returns:
        Day of the latest start of a stage; None if none has started.
    """
    starts = [stage.started for stage in run.stages if stage.started]
    if not starts:
        return None
    last = datetime.fromisoformat(max(starts))
    return f'{last.day} {MONTHS[last.month - 1]} {last.year}'


def best_split(run: RunFolder) -> tuple[str, dict[str, SplitScores]] | None:
    """Return the split to quote, val before train, and its scores by role."""
    for split in ('val', *SPLITS):
        found = {
            role: splits[split]
            for role, splits in run.scores.items()
            if split in splits and splits[split].miou is not None
        }
        if found:
            return split, found
    return None


def summarize(run: RunFolder, comparisons: Sequence[Comparison]) -> list[str]:
    """Summarize a run in sentences: what was done, scores, where to look."""
    return [
        *_what_was_run(run),
        *_what_was_learnt(run),
        *_how_good(run),
        *_what_to_look_at(run, comparisons),
    ]


def _what_was_run(run: RunFolder) -> list[str]:
    stages = [stage for stage in run.stages if stage.name != OWN_STAGE]
    finished = [stage for stage in stages if stage.state == 'finished']
    chosen = [
        f'{name} {run.options[name]}'
        for name in OPTIONS
        if isinstance(run.options.get(name), str)
    ]
    seconds = sum(stage.seconds or 0 for stage in finished)
    lines = []
    if run.images:
        splits = count_data(run).splits
        counts = ', '.join(f'{c.images} {s}' for s, c in splits.items())
        lines.append(
            f'{_plural(len(run.images), "image")} of '
            f'{_plural(len(run.classes) - 1, "class", "classes")} and '
            f'background ({counts})'
            f'{", " if chosen else ""}{", ".join(chosen)}.'
        )
    else:
        lines.append('The run ended before its data was ready.')
    if len(finished) == len(stages):
        lines.append(
            f'All {len(stages)} stages before this report finished, in '
            f'{duration(seconds)}.'
        )
    else:
        rest = '; '.join(
            f'{state}: {", ".join(titles)}'
            for state in ('failed', 'running', 'waiting')
            if (titles := [s.title for s in stages if s.state == state])
        )
        lines.append(
            f'{len(finished)} of {len(stages)} stages finished, in '
            f'{duration(seconds)}, so later parts of this page are missing '
            f'({rest}).'
        )
    return lines


def _what_was_learnt(run: RunFolder) -> list[str]:
    if not run.has_stage('tags') or not (run.folder / TAGS).is_file():
        return []
    first, *warnings = describe_classifier(run.folder)
    return [f'Classifier: {first}.', *(f'{line}.' for line in warnings)]


def _how_good(run: RunFolder) -> list[str]:
    if not run.images:
        return []
    if not run.scores:
        with_truth = sum(image.truth is not None for image in run.images)
        if with_truth:
            return [
                f'{_plural(with_truth, "image")} with a true mask, not '
                'scored yet.'
            ]
        return [
            'No image has a true mask, so nothing could be scored: judge by '
            'eye, in the gallery.'
        ]
    best = best_split(run)
    if best is None:
        return ['There are scores, but none of them has a mean.']
    means = []
    for split in SPLITS:
        values = ', '.join(
            f'{ROLES[role]} {splits[split].miou:.1f}'
            for role, splits in run.scores.items()
            if split in splits and splits[split].miou is not None
        )
        if values:
            means.append(f'on {split} {values}')
    split, scores = best
    role, last = list(scores.items())[-1]
    lines = [f'mIoU in percent: {"; ".join(means)}.']
    known = {k: iou for k, iou in enumerate(last.ious) if iou is not None}
    if not known:
        return lines
    worst = min(known, key=lambda k: known[k])
    line = f'Worst class of the {ROLES[role]} on {split}: '
    titles = class_titles(run)
    line += f'{titles[worst]} ({last.ious[worst]:.1f})'
    if found := find_confusions(last.confusion, 1):
        (top,) = found
        line += (
            f'; most often mistaken: {titles[top.truth]}, of which '
            f'{100 * top.share:.0f} % is taken for {titles[top.prediction]}'
        )
    return [*lines, f'{line}.']


def _what_to_look_at(
    run: RunFolder, comparisons: Sequence[Comparison]
) -> list[str]:
    pairs = [pair for pair in pairs_of(comparisons) if pair in WEAK_PAIRS]
    if not pairs:
        return []
    first, second = pairs[0]
    ranked = rank(comparisons, pairs[0])
    mean = np.mean([c.shares[pairs[0]] for c in ranked])
    worst = ranked[0]
    return [
        f'{ROLES[first].capitalize()} and {ROLES[second]} disagree on '
        f'{100 * mean:.1f} % of the pixels on average, and most in '
        f'{worst.image.source} ({100 * worst.shares[pairs[0]]:.0f} %).'
    ]


def _plural(count: int, one: str, many: str | None = None) -> str:
    return f'{count} {one if count == 1 else many or f"{one}s"}'
