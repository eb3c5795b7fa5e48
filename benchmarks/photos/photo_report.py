"""The page that benchmarks/photos writes."""

import statistics
from collections.abc import Mapping, Sequence

from photo_rows import START, Row

COLUMNS = {'raw': 'mIoU', 'refined': 'refined', 'minutes': 'minutes'}


def cell(values: Sequence[float | None]) -> str:
    """Mean of several trainings, with half their range."""
    known = [value for value in values if value is not None]
    if not known:
        return ''
    mean = f'{statistics.mean(known):.1f}'
    if len(known) == 1:
        return mean
    return f'{mean} ± {(max(known) - min(known)) / 2:.1f}'


def table(rows: Sequence[Row]) -> str:
    """All rows; those without results are left out."""
    lines = [
        f'| | tags at test | {" | ".join(COLUMNS.values())} |',
        '|' + '---|' * (len(COLUMNS) + 2),
    ]
    for row in rows:
        if row.results:
            cells = [
                cell([result.get(key) for result in row.results])
                for key in COLUMNS
            ]
            tags = 'no' if row.segments else 'yes'
            lines.append(f'| {row.name} | {tags} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def report(
    rows: Sequence[Row],
    machine: str,
    seeds: int,
    lengths: Mapping[int, float],
    length: int,
    thresholds: Mapping[str, float],
    trial: bool,
) -> str:
    """The whole page.

    Args:
        rows: Rows with their results.
        machine: What the scores were made on.
        seeds: Trainings of each row.
        lengths: mAP on held-out tags of each length that was tried.
        length: The length that was taken.
        thresholds: Threshold of each kind of maps.
        trial: Whether the trainings were cut short.
    """
    tried = ', '.join(f'{n}: {value:.1f}' for n, value in lengths.items())
    chosen = ', '.join(f'{name} {t:g}' for name, t in thresholds.items())
    note = (
        'A trial of a few iterations: the numbers mean nothing.\n\n'
        if trial
        else ''
    )
    return (
        '# Photos: class maps of a classifier on tags\n\n'
        f'{note}mIoU in percent on 445 photos of VOC 2012 val with six '
        'classes (`VOC_animals`; pixels of other classes do not count), by '
        f'`python benchmarks/photos` ({machine}). EfficientNet-Lite0 with '
        'ImageNet weights, trained on the tags of nine in ten of 1,200 '
        f'photos; means of {seeds} trainings with half their range. Refined '
        'is after PAR or CRF. Segmenters are trained on the refined masks of '
        f'{START!r} and see no tags at test.\n\n'
        'Chosen by the tags of the held-out tenth, by no mask: the length of '
        f'the training (mAP of tags: {tried}; taken: {length}) and the '
        f"background's threshold ({chosen}; see `tag_threshold.py`). The row "
        'that the segmenters start from was fixed beforehand.\n\n'
        f'{table(rows)}\n'
    )
