"""Reader of image labels from CSV files."""

from collections.abc import Sequence
from pathlib import Path

from .class_names import split_background
from .csv_rows import read_label_table
from .image_labels import ImageLabels, LabelCollector, canonical_image_id
from .label_sources import require_classes


def read_csv(
    path: str | Path, classes: Sequence[str] | None = None
) -> ImageLabels:
    """Labels from a CSV file; see :func:`read_label_table` for its forms.

    Args:
        path: The file.
        classes: Class names. None: the columns, where each class has one.

    Raises:
        ValueError: The file can't be read, or names unknown classes.
    """
    names = split_background(classes or ())[0]
    table = read_label_table(path, names)
    if classes is None:
        classes = require_classes(path, table.columns)
    collector = LabelCollector(path, classes)
    found: dict[str, list[int]] = {}
    for row in table.rows:
        indices = [
            collector.find(name, row.image, f'line {row.line}')
            for name in row.names
        ]
        key = canonical_image_id(row.image)
        if table.columns is not None:
            collector.add(key, indices)
        else:
            found.setdefault(key, []).extend(indices)
    for image_id, indices in found.items():
        collector.add(image_id, indices)
    return collector.result()
