"""Label Studio's JSON and JSON-MIN.

Reference: https://labelstud.io/guide/export and its "Task format"
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.matching import (
    ImageFinder,
    looks_like_file,
)
from mmseg_weakclip.datasets.labels.readers.named_groups import rows_of
from mmseg_weakclip.datasets.labels.readers.values import (
    as_list,
    as_object,
    counted,
    shown,
)
from mmseg_weakclip.datasets.labels.records import LabelFile

from .label_studio_results import Answers, names_of_result, names_of_value

ANNOTATIONS = ('annotations', 'completions')


@dataclass
class _Left:
    """Numbers of what is no label."""

    cancelled: int = 0
    predictions: int = 0
    drafts: int = 0
    without: int = 0
    several: int = 0


def _matches(content: Content) -> bool:
    """Return whether a JSON file is a list of tasks, or of their answers."""
    if content.suffix != '.json' or not isinstance(content.json, list):
        return False
    first = content.json[0] if content.json else None
    if not isinstance(first, dict):
        return False
    return _is_task(first) or 'annotation_id' in first


def _is_task(item: dict[str, Any]) -> bool:
    return isinstance(item.get('data'), dict) and any(
        key in item for key in (*ANNOTATIONS, 'predictions')
    )


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the answers of all annotations of each task; they add up.

    Skipped annotations, predictions and drafts are no labels, and a task
    without an annotation has none. An annotation without answers is an image
    without classes.

    Raises:
        ValueError: The structure is another, a task has no image, or several
            controls give names and the classes are not known.
    """
    path = str(content.path)
    tasks = as_list(content.json, path)
    left = _Left()
    answers = Answers()
    found: list[tuple[str, str, list[tuple[str, str]]]] = []
    for number, task in enumerate(tasks, 1):
        where = f'{path}, task {number}'
        task = as_object(task, where)
        place = f'task {task.get("id", number)}'
        if _is_task(task):
            pairs = _task_names(task, where, answers, left)
            data = task['data']
        else:
            data, given = _split_record(task, where)
            pairs = [
                pair
                for control, value in given.items()
                for pair in names_of_value(
                    value, f'{where}: {control}', control, answers
                )
            ]
        if pairs is None:
            continue
        upload = task.get('file_upload')
        image = image_of(data, upload, where, options.finder)
        found.append((place, image, pairs))
    kept, notes = answers.choose(path, options.classes)
    rows = rows_of(found, kept)
    return LabelFile(
        path, FORMAT.title, rows, notes=(*notes, *_describe(left))
    )


def _task_names(
    task: dict[str, Any], where: str, answers: Answers, left: _Left
) -> list[tuple[str, str]] | None:
    """Return controls and names of a task; None without an annotation."""
    left.predictions += len(
        as_list(task.get('predictions'), f'{where}: predictions')
    )
    left.drafts += len(as_list(task.get('drafts'), f'{where}: drafts'))
    given = []
    for key in ANNOTATIONS:
        for item in as_list(task.get(key), f'{where}: {key}'):
            item = as_object(item, f'{where}: {key}')
            if item.get('was_cancelled') or item.get('skipped'):
                left.cancelled += 1
            else:
                given.append(item)
    if not given:
        left.without += 1
        return None
    left.several += len(given) > 1
    pairs = []
    for item in given:
        results = as_list(item.get('result'), f'{where}: result')
        for result in results:
            result = as_object(result, f'{where}: result')
            pairs += names_of_result(result, where, answers)
        answers.end_of_annotation()
    return pairs


def _split_record(
    record: dict[str, Any], where: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return data and answers of JSON-MIN.

    Its keys stand in this order: data, ``id``, answers, ``annotator``, and
    what is about the annotation.

    Raises:
        ValueError: It has other keys.
    """
    keys = list(record)
    try:
        start = len(keys) - keys[::-1].index('id')
        end = keys.index('annotator', start)
    except ValueError as error:
        raise ValueError(
            f'{where} has the keys {", ".join(keys)}: neither a task of '
            "Label Studio's JSON nor one of its JSON-MIN; export it as JSON"
        ) from error
    return (
        {key: record[key] for key in keys[: start - 1]},
        {key: record[key] for key in keys[start:end]},
    )


def image_of(
    data: dict[str, Any],
    upload: Any,
    where: str,
    finder: ImageFinder | None,
) -> str:
    """Return the value of a task's data that names its image.

    Args:
        data: Data of the task.
        upload: Name of the file that was uploaded, or None.
        where: File and task, for the message.
        finder: Images that are there; None if unknown.

    Raises:
        ValueError: None does, or several name different images.
    """
    texts = {k: v for k, v in data.items() if isinstance(v, str) and v}
    files = {k: v for k, v in texts.items() if is_file(v)}
    if finder is not None:
        known = {}
        for key, value in (files or texts).items():
            match = finder.match(value)
            if match is not None:
                known[key] = match.paths
        if len(set(known.values())) == 1:
            return texts[next(iter(known))]
        files = {key: texts[key] for key in known} or files
    for key in ('image', 'img', 'image_url', 'url'):
        if key in files:
            return files[key]
    if len(files) == 1:
        return next(iter(files.values()))
    if not files and isinstance(upload, str) and upload:
        return upload
    if not files and 'image' in texts:
        return texts['image']
    listed = ', '.join(f'{k}: {shown(v)}' for k, v in data.items())
    found = 'several values may name' if files else 'no value names'
    raise ValueError(
        f'{where}: {found} the image in data ({listed}); call it "image"'
    )


def is_file(value: str) -> bool:
    """Return whether a value ends like an image, behind a URL too."""
    # Local files stand behind "?d=".
    return any(looks_like_file(part) for part in _ends(value))


def _ends(value: str) -> Iterator[str]:
    yield value
    yield value.split('?d=')[-1].split('&')[0]


def _describe(left: _Left) -> Iterator[str]:
    if left.cancelled:
        yield f'{counted(left.cancelled, "skipped annotation")} not read'
    if left.predictions:
        words = counted(left.predictions, 'prediction')
        yield f'{words} of a model not read'
    if left.drafts:
        yield f'{counted(left.drafts, "draft")} not read'
    if left.without:
        yield f'{counted(left.without, "task")} without an annotation'
    if left.several:
        words = counted(left.several, 'task')
        yield f'{words} with several annotations, whose labels add up'


FORMAT = LabelFormat('label-studio', 'Label Studio JSON', _matches, _read)
