"""What is known of a run's classifier: how well it tells the tags."""

import json
from pathlib import Path

from mmseg_weakclip.apps.errors import count
from mmseg_weakclip.evaluation.tag_precision import FEW, describe_tags

from .schema import TAGS


def describe_classifier(folder: Path) -> list[str]:
    """Return the average precision of each class on held-out tags.

    A line for all classes, and one for each thing that is wrong.

    Args:
        folder: Folder of the run.
    """
    found = json.loads((folder / TAGS).read_text())
    values = ', '.join(
        f'{name} {row["precision"]:.0f} ({row["chance"]:.0f})'
        for name, row in found['classes'].items()
        if row['judgement'] != FEW
    )
    return [
        f'average precision on the tags of {count(found["images"], "image")} '
        f'held out, % (by chance): {values or "too few images"}',
        *(f'warning: {line}' for line in describe_tags(found)),
    ]
