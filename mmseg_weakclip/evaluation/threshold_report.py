"""Report of a sweep of thresholds: the best one and what chose it."""

import json
import math
from collections.abc import Mapping

from prettytable import PrettyTable

# The scores that choose the best threshold.
BY_TRUTH, BY_LABELS = 'mIoU', 'f1'
COLUMNS = {
    'mIoU': 'mIoU',
    'background_IoU': 'background IoU',
    'foreground_mIoU': 'foreground mIoU',
    'background': 'background %',
    'classes': 'classes per image',
    'precision': 'precision',
    'recall': 'recall',
    'f1': 'F1',
}


def report_sweep(
    scores: Mapping[float, Mapping[str, float]],
    split: str,
    current: float | None = None,
) -> dict:
    """Choose a threshold, and report which data chose it.

    Args:
        scores: Metrics of each threshold, all of ``BackgroundIoU`` or all of
            ``LabelAgreement``.
        split: Description of the data that were swept.
        current: Threshold of the config.

    Returns:
        ``thresholds``, a list of rows; ``best``, the lowest of the best
        thresholds, or None if nothing can choose; ``chosen_by``, 'pixel
        truth', 'image labels' or None; ``pixel_truth_images`` and
        ``image_label_images``, the numbers of images that were used; and
        ``note``, the same as a sentence. ``split`` and ``current`` as given.

    Raises:
        ValueError: Truth was to be read, but no image has any.
    """
    first = next(iter(scores.values()))
    images = first['images']
    with_truth = 'background' not in first
    if with_truth and not images:
        raise ValueError(
            f'no image of {split} has a mask to be scored by: use '
            '--without-truth'
        )
    key = BY_TRUTH if with_truth else BY_LABELS
    best = max(scores, key=lambda t: (scores[t][key], -t)) if images else None
    if with_truth:
        chosen_by = 'pixel truth'
        note = (
            f'This choice has seen the pixel truth of {images} images of '
            f'{split}: the best score is not a fair result on that split.'
        )
    elif images:
        chosen_by = 'image labels'
        note = (
            f'This choice has seen the image labels of {images} images of '
            f'{split}, and no mask.'
        )
    else:
        chosen_by = None
        note = (
            f'Nothing is chosen: no mask of {split} was read, and its samples '
            'have no image_labels; --image-labels FILE gives them some.'
        )
    return dict(
        split=split,
        current=current,
        best=best,
        chosen_by=chosen_by,
        pixel_truth_images=images if with_truth else 0,
        image_label_images=0 if with_truth else images,
        note=note,
        thresholds=[
            dict(threshold=threshold)
            | {name: row[name] for name in COLUMNS if name in row}
            for threshold, row in scores.items()
        ],
    )


def sweep_table(report: Mapping) -> str:
    """Return a table of a report's thresholds, and its note."""
    rows = report['thresholds']
    names = [name for name in COLUMNS if name in rows[0]]
    table = PrettyTable(['threshold', *(COLUMNS[name] for name in names), ''])
    for row in rows:
        threshold = row['threshold']
        marks = [
            mark
            for mark, value in (
                ('best', report['best']),
                ('as configured', report['current']),
            )
            if threshold == value
        ]
        values = [f'{row[name]:.2f}' for name in names]
        table.add_row([f'{threshold:g}', *values, ', '.join(marks)])
    return f'{table.get_string()}\n{report["note"]}'


def encode_report(report: Mapping) -> bytes:
    """Encode a report as JSON, with null for NaN."""

    def plain(value):
        if isinstance(value, Mapping):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    return json.dumps(plain(report), indent=2).encode() + b'\n'
