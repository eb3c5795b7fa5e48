"""Google's import files of Vertex AI, a JSON object in each line.

Reference: https://cloud.google.com/vertex-ai/docs/image-data
"""

from typing import Any

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.readers.values import (
    as_list,
    as_name,
    as_object,
    counted,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

URI = ('imageGcsUri', 'image_gcs_uri')
ONE = ('classificationAnnotation', 'classification_annotation')
SEVERAL = ('classificationAnnotations', 'classification_annotations',
           'boundingBoxAnnotations', 'bounding_box_annotations')  # fmt: skip
NAME = ('displayName', 'display_name')


def _matches(content: Content) -> bool:
    """Return whether the first line names an image in Google's storage."""
    return any(key in content.first_record for key in URI)


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the names of classes and boxes.

    An image without any of their keys has no labels; one with an empty list
    has no class.

    Raises:
        ValueError: A line is broken, or has no image or name.
    """
    path = str(content.path)
    rows = []
    unlabelled = 0
    others: dict[str, None] = {}
    for number, record in content.json_lines:
        place = f'line {number}'
        where = f'{path}, {place}'
        image = as_name(_get(record, URI), f'{where}: {URI[0]}')
        found: list[Any] = []
        labelled = False
        for key, value in record.items():
            if key in ONE:
                found.append(value)
            elif key in SEVERAL:
                found += as_list(value, f'{where}: {key}')
            elif key.lower().endswith(('annotation', 'annotations')):
                others[key] = None
                continue
            else:
                continue
            labelled = True
        if not labelled:
            unlabelled += 1
            continue
        names = [
            as_name(_get(as_object(item, where), NAME), f'{where}: {NAME[0]}')
            for item in found
        ]
        rows.append(LabelRow(place, image, tuple(dict.fromkeys(names))))
    notes = [f'not read: {key}' for key in others]
    if unlabelled:
        notes.append(f'{counted(unlabelled, "image")} without an annotation')
    return LabelFile(path, FORMAT.title, tuple(rows), notes=tuple(notes))


def _get(record: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((record[key] for key in keys if key in record), None)


FORMAT = LabelFormat('vertex', 'Vertex AI JSON lines', _matches, _read)
