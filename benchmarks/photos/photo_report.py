"""The page that benchmarks/photos writes."""

import statistics
from collections.abc import Mapping, Sequence

from photo_rows import MapRow, Row, SegmenterRow


def cell(values: Sequence[float | None]) -> str:
    """Mean of several trainings, with half their range."""
    known = [value for value in values if value is not None]
    if not known:
        return ''
    mean = f'{statistics.mean(known):.1f}'
    if len(known) == 1:
        return mean
    return f'{mean} ± {(max(known) - min(known)) / 2:.1f}'


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; lines whose cells are all empty are left out."""
    rows = [line for line in lines if any(line[1:])]
    head = [titles, ['---'] * len(titles)]
    return '\n'.join(f'| {" | ".join(row)} |' for row in [*head, *rows])


def run_table(runs: Sequence[Mapping]) -> str:
    """What the one command's stages gave, and what they took."""
    stages = (
        ('cam', 'the classifier', ''),
        ('seeds', 'class maps', 'seeds'),
        ('masks', 'pseudo masks', 'masks'),
        ('segmenter', 'the segmenter', ''),
        ('masks_2', 'its masks, tags given', 'masks_2'),
        ('segmenter_2', 'the second segmenter', ''),
        ('predict', 'predictions, no tags', 'predictions'),
    )
    lines = []
    for stage, title, role in stages:
        scores = [
            cell(
                [
                    run['scores'].get(role, {}).get(split, {}).get('mIoU')
                    for run in runs
                ]
            )
            for split in ('train', 'val')
        ]
        minutes = [run['minutes'].get(stage) for run in runs]
        lines.append([title, *scores, cell(minutes)])
    return table(('stage', 'train', 'val', 'minutes'), lines)


def class_table(runs: Sequence[Mapping]) -> str:
    """IoU of each class on val, by what the run made."""
    roles = ('masks', 'masks_2', 'predictions')
    names = list(runs[0]['scores'][roles[0]]['val']['IoU'])
    lines = [
        [
            role,
            *(
                cell([r['scores'][role]['val']['IoU'][name] for r in runs])
                for name in names
            ),
        ]
        for role in roles
        if all(role in run['scores'] for run in runs)
    ]
    return table(('val', *names), lines)


def protocol_table(runs: Sequence[Mapping]) -> str:
    """The last segmenter in four tests."""
    ways = (
        ('single', 'single view'),
        ('multi', 'multi-scale + flip'),
        ('single_crf', 'single view + CRF'),
        ('multi_crf', 'multi-scale + flip + CRF'),
    )
    lines = [
        [title, cell([run['protocol'].get(f'mIoU_{key}') for run in runs])]
        for key, title in ways
    ]
    return table(('the second segmenter, no tags', 'val'), lines)


def row_table(rows: Sequence[Row], title: str) -> str:
    """Rows beside the run: scores of val, minutes and GiB."""
    keys = list(
        dict.fromkeys(key for row in rows for r in row.results for key in r)
    )
    lines = [
        [
            row.name,
            *(cell([result[key] for result in row.results]) for key in keys),
        ]
        for row in rows
    ]
    return table((title, *keys), lines)


def gain_table(gains: Mapping[str, Mapping[float, float]]) -> str:
    """What the tags say of each threshold of each kind of maps."""
    thresholds = list(next(iter(gains.values())))
    lines = [
        [
            name,
            *(
                f'**{gain:.3f}**' if gain == max(found.values())
                else f'{gain:.3f}'
                for gain in found.values()
            ),
        ]
        for name, found in gains.items()
    ]  # fmt: skip
    return table(('maps', *(f'{value:g}' for value in thresholds)), lines)


def report(
    runs: Sequence[Mapping],
    maps: Sequence[MapRow],
    segmenters: Sequence[SegmenterRow],
    gains: Mapping[str, Mapping[float, float]],
    machine: str,
    *,
    trial: bool,
) -> str:
    """The whole page.

    Args:
        runs: What each run of the one command found.
        maps: Rows of class maps with their results.
        segmenters: Rows of segmenters with their results.
        gains: The measure of thresholds of each kind of maps.
        machine: What the scores were made on.
        trial: Whether the trainings were cut short.
    """
    note = (
        'A trial of a few iterations: the numbers mean nothing.\n\n'
        if trial
        else ''
    )
    memory = max(run['gib'] for run in runs)
    sections = (
        ('Class maps and their refinement, tags given',
         row_table(maps, 'maps')),
        ('Segmenters, no tags, a third as long as that of the one command',
         row_table(segmenters, 'segmenter')),
        ('What the tags say of thresholds and views',
         gain_table(gains) if gains else ''),
    )  # fmt: skip
    # A table of two lines has no row.
    rest = ''.join(
        f'\n\n## {title}\n\n{text}'
        for title, text in sections
        if text.count('\n') > 1
    )
    return (
        f'{note}mIoU in percent over the background and six classes of VOC '
        '2012 (`VOC_animals`: 1,200 photos to train on, 445 of val; pixels of '
        f'other classes do not count), by `python benchmarks/photos` '
        f'({machine}; trainings: {len(runs)}, half their range behind ±). '
        'EfficientNet-Lite0 with ImageNet weights is all that was known '
        f'before. Largest process: {memory:.1f} GiB.\n\n'
        '## The one command\n\n'
        f'{run_table(runs)}\n\n{protocol_table(runs)}\n\n'
        f'{class_table(runs)}{rest}\n'
    )
