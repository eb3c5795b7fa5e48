"""Manifests of Amazon SageMaker Ground Truth and Rekognition Custom Labels.

Reference: https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html
"""

from collections import Counter
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
    shown,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

IMAGE = 'source-ref'
END = '-metadata'
VERIFICATION = 'label-verification'


def _matches(content: Content) -> bool:
    """Return whether the first line is a line of a manifest."""
    return IMAGE in content.first_record


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the labels of all jobs; where one adjusts another, its alone.

    Raises:
        ValueError: A line is broken, has no image, or ids without names.
    """
    path = str(content.path)
    rows = []
    counts: Counter[str] = Counter()
    jobs: dict[str, None] = {}
    for number, record in content.json_lines:
        place = f'line {number}'
        where = f'{path}, {place}'
        image = as_name(record.get(IMAGE), f'{where}: {IMAGE}')
        names: dict[str, None] = {}
        read_jobs = _jobs(record, where, counts)
        for job in read_jobs:
            jobs[job] = None
            found = _names(record, job, f'{where}: {job}', counts)
            names.update(dict.fromkeys(found))
        if read_jobs:
            rows.append(LabelRow(place, image, tuple(names)))
        else:
            counts['image without a label'] += 1
    notes = [f'labels of the jobs {", ".join(jobs)}'] if len(jobs) > 1 else []
    notes += [counted(n, *_plural(what)) for what, n in counts.items()]
    return LabelFile(path, FORMAT.title, tuple(rows), notes=tuple(notes))


def _plural(what: str) -> tuple[str, str]:
    noun, _, rest = what.partition(' ')
    return what, f'{noun}s {rest}'


def _jobs(
    record: dict[str, Any], where: str, counts: Counter[str]
) -> list[str]:
    """Return the names of the jobs of a line whose labels count."""
    found = {}
    for key in record:
        if not key.endswith(END):
            continue
        job = key[: -len(END)]
        about = as_object(record[key], f'{where}: {key}')
        if VERIFICATION in str(about.get('type', '')):
            counts['verification not read'] += 1
        elif job.endswith('-ref'):
            counts['mask not read (a segmentation job)'] += 1
        elif 'failure-reason' in about or job not in record:
            counts['label failed and not read'] += 1
        else:
            found[job] = about
    adjusted = [job for job in found if 'adjustment-status' in found[job]]
    return adjusted or list(found)


def _names(
    record: dict[str, Any], job: str, where: str, counts: Counter[str]
) -> list[str]:
    value = record[job]
    about = as_object(record[f'{job}{END}'], where)
    human = about.get('human-annotated', 'yes')
    if human != 'yes':
        counts['label made by a model, read like the others'] += 1
    classes = as_object(about.get('class-map'), f'{where}: class-map')
    if isinstance(value, dict):
        boxes = as_list(value.get('annotations'), f'{where}: annotations')
        ids = [as_object(box, where).get('class_id') for box in boxes]
        return [_class(classes, i, where) for i in ids]
    if isinstance(value, list):
        return [_class(classes, i, where) for i in value]
    if 'class-name' in about:
        return [as_name(about['class-name'], f'{where}: class-name')]
    return [_class(classes, value, where)]


def _class(classes: dict[str, Any], class_id: Any, where: str) -> str:
    name = classes.get(str(class_id))
    if not isinstance(name, str):
        raise ValueError(
            f'{where}: class {shown(class_id)} has no name in its class-map '
            f'(ids: {", ".join(classes) or "none"}); give the output manifest '
            'of the job, which has them'
        )
    return as_name(name, f'{where}: class-map')


FORMAT = LabelFormat('ground-truth', 'Ground Truth manifest', _matches, _read)
