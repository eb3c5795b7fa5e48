"""FiftyOne's ``labels.json`` and ``samples.json``.

Reference: https://docs.voxel51.com/user_guide/export_datasets.html
"""

from collections.abc import Iterator, Sequence
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
    class_of_id,
    counted,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

CURE = 'list them under "classes" of the file'
TRUTH = 'ground_truth'
# A label, or the key of a list of them, by the name of FiftyOne's type.
LABELS = {'Classification': '', 'Detection': '', 'Polyline': '',
          'Classifications': 'classifications', 'Detections': 'detections',
          'Polylines': 'polylines'}  # fmt: skip


def _matches(content: Content) -> bool:
    """Return whether a JSON file holds FiftyOne's labels or samples.

    Our own JSON is like it: there all images have lists of names or ids.
    """
    if content.suffix != '.json' or not isinstance(content.json, dict):
        return False
    data = content.json
    samples = data.get('samples')
    if isinstance(samples, list):
        return not samples or (
            isinstance(samples[0], dict) and 'filepath' in samples[0]
        )
    labels = data.get('labels')
    if not isinstance(labels, dict) or not set(data) <= {'classes', 'labels'}:
        return False
    return any(_is_target(target) for target in labels.values())


def _is_target(value: Any) -> bool:
    """Return whether a label is written as our own JSON never has it."""
    if isinstance(value, list):
        return any(isinstance(item, dict) for item in value)
    return value is None or isinstance(value, (int, str, dict))


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read classifications or detections.

    Samples may have several fields of labels: ``ground_truth`` counts, or
    the only one without confidences.

    Raises:
        ValueError: The structure is another, an id has no name, or several
            fields may be the labels.
    """
    path = str(content.path)
    data = as_object(content.json, path)
    if 'samples' in data:
        return _read_samples(content)
    classes = None
    if data.get('classes') is not None:
        listed = as_list(data['classes'], f'{path}: classes')
        classes = [as_name(name, f'{path}: a class') for name in listed]
    rows, unlabelled, scored = [], 0, 0
    labels = as_object(data.get('labels'), f'{path}: labels')
    for image, target in labels.items():
        if target is None:
            unlabelled += 1
            continue
        where = f'{path}, image {image!r}'
        items = target if isinstance(target, list) else [target]
        scored += sum(_is_scored(item) for item in items)
        names = (_name(item, classes, where) for item in items)
        rows.append(
            LabelRow(f'image {image!r}', image, tuple(dict.fromkeys(names)))
        )
    return LabelFile(
        path,
        FORMAT.title,
        tuple(rows),
        tuple(classes) if classes else None,
        tuple(_describe(unlabelled, scored)),
    )


def _is_scored(item: Any) -> bool:
    return isinstance(item, dict) and item.get('confidence') is not None


def _name(item: Any, classes: Sequence[str] | None, where: str) -> str:
    target = item.get('label') if isinstance(item, dict) else item
    if isinstance(target, str):
        return as_name(target, f'{where}: a label')
    return class_of_id(target, classes, where, CURE)


def _describe(unlabelled: int, scored: int) -> Iterator[str]:
    if unlabelled:
        yield f'{counted(unlabelled, "image")} without a label'
    if scored:
        yield (
            f'{counted(scored, "label")} with a confidence, made by a '
            'model, read like the others'
        )


def _read_samples(content: Content) -> LabelFile:
    path = str(content.path)
    samples = [
        (number, as_object(sample, f'{path}, sample {number}'))
        for number, sample in enumerate(
            as_list(content.json['samples'], f'{path}: samples'), 1
        )
    ]
    fields: dict[str, bool] = {}
    for number, sample in samples:
        for key, value in sample.items():
            if isinstance(value, dict) and str(value.get('_cls')) in LABELS:
                items = _items(value, f'{path}, sample {number}: {key}')
                scored = any(_is_scored(item) for item in items)
                fields[key] = fields.get(key, False) or scored
    chosen, notes = _choose_field(path, fields)
    rows = []
    unlabelled = 0
    for number, sample in samples:
        where = f'{path}, sample {number}'
        image = as_name(sample.get('filepath'), f'{where}: filepath')
        value = sample.get(chosen)
        if not isinstance(value, dict):
            unlabelled += 1
            continue
        names = (
            as_name(item.get('label'), f'{where}: label of {chosen}')
            for item in _items(value, where)
        )
        rows.append(
            LabelRow(f'sample {number}', image, tuple(dict.fromkeys(names)))
        )
    notes += _describe(unlabelled, 0)
    return LabelFile(path, FORMAT.title, tuple(rows), notes=tuple(notes))


def _items(value: dict[str, Any], where: str) -> list[dict[str, Any]]:
    key = LABELS.get(str(value.get('_cls')), '')
    items = as_list(value.get(key), where) if key else [value]
    return [as_object(item, where) for item in items]


def _choose_field(path: str, fields: dict[str, bool]) -> tuple[str, list[str]]:
    """Return the field that holds the labels, and notes about the others.

    Args:
        path: Path of the file.
        fields: Whether labels of a field have confidences, by field.

    Raises:
        ValueError: There is none, or several may be it.
    """
    people = [field for field, scored in fields.items() if not scored]
    chosen = TRUTH if TRUTH in fields else ''
    if not chosen and len(people) == 1:
        chosen = people[0]
    if not chosen and len(fields) == 1:
        chosen = next(iter(fields))
    if not chosen:
        listed = ', '.join(fields) or 'none'
        raise ValueError(
            f'{path}: which field holds the labels is not clear (fields of '
            f'labels: {listed}); export that field alone, with '
            'label_field=..., or call it "ground_truth"'
        )
    others = [field for field in fields if field != chosen]
    notes = [f'labels of the field {chosen!r}']
    if others:
        notes.append(f'fields that are not read: {", ".join(others)}')
    return chosen, notes


FORMAT = LabelFormat('fiftyone', 'FiftyOne JSON', _matches, _read)
