"""VGG Image Annotator (VIA 2): its project, its JSON, and its CSV.

Reference: https://www.robots.ox.ac.uk/~vgg/software/via/
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.readers.csv_files import csv_records
from mmseg_weakclip.datasets.labels.readers.named_groups import (
    choose_groups,
    rows_of,
)
from mmseg_weakclip.datasets.labels.readers.values import (
    as_name,
    as_object,
    counted,
    shown,
)
from mmseg_weakclip.datasets.labels.records import LabelFile

HEADER = ('filename', 'file_size', 'file_attributes', 'region_count',
          'region_id', 'region_shape_attributes',
          'region_attributes')  # fmt: skip
METADATA = '_via_img_metadata'
# What VIA itself asks for each file.
FILE_DEFAULTS = {'caption', 'public_domain', 'image_url'}
# What people call the attribute that holds the class.
CLASS_WORDS = {'class', 'label', 'labels', 'category', 'type', 'name',
               'object', 'tag', 'tags'}  # fmt: skip

# Place, image, attributes of the file, attributes of each region.
Item = tuple[str, str, dict[str, Any], list[dict[str, Any]]]


def _matches(content: Content) -> bool:
    """Return whether a file is VIA's JSON or CSV."""
    if content.suffix == '.csv':
        first = content.head.lstrip('#').split('\n', 1)[0]
        cells = [cell.strip().strip('"') for cell in first.split(',')]
        return tuple(cells) == HEADER
    if content.suffix != '.json' or not isinstance(content.json, dict):
        return False
    data = content.json.get(METADATA, content.json)
    if not isinstance(data, dict):
        return METADATA in content.json
    first_item = next(iter(data.values()), None)
    is_item = isinstance(first_item, dict) and {'filename', 'regions'} <= set(
        first_item
    )
    return METADATA in content.json or is_item


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the attribute of regions, or of files, that names the class.

    Raises:
        ValueError: The structure is another, or several attributes have
            values and the classes are not known.
    """
    path = str(content.path)
    items = list(
        _csv_items(content)
        if content.suffix == '.csv'
        else _json_items(content)
    )
    # Names by attribute, and the attribute's own name.
    groups: dict[str, Counter[str]] = {}
    keys: dict[str, str] = {}
    bare = 0
    found = []
    for place, image, file_attributes, regions in items:
        pairs = []
        for attributes, of in [
            *((region, 'regions') for region in regions),
            (file_attributes, 'files'),
        ]:
            own = [
                (f'attribute {key!r} of {of}', key, name)
                for key, name in _values(attributes, f'{path}, {place}')
                if of == 'regions' or key not in FILE_DEFAULTS
            ]
            bare += of == 'regions' and not own
            keys.update({group: key for group, key, _ in own})
            pairs += [(group, name) for group, _, name in own]
        for group, name in pairs:
            groups.setdefault(group, Counter())[name] += 1
        found.append((place, image, pairs))
    kept, notes = _choose(path, groups, keys, options)
    if bare:
        notes.append(f'{counted(bare, "region")} without a label')
    rows = rows_of(found, kept)
    return LabelFile(path, FORMAT.title, rows, notes=tuple(notes))


def _choose(
    path: str,
    groups: dict[str, Counter[str]],
    keys: dict[str, str],
    options: ReadOptions,
) -> tuple[set[str], list[str]]:
    named = [g for g in groups if keys[g].lower() in CLASS_WORDS]
    if len(named) == 1 and options.classes is None:
        left = [group for group in groups if group not in named]
        return set(named), [f'not read: {group}' for group in left]
    return choose_groups(path, groups, options.classes)


def _json_items(content: Content) -> Iterator[Item]:
    path = content.path
    data = as_object(content.json, str(path))
    images = as_object(data.get(METADATA, data), f'{path}: {METADATA}')
    for number, item in enumerate(images.values(), 1):
        where = f'{path}, image {number}'
        item = as_object(item, where)
        image = as_name(item.get('filename'), f'{where}: filename')
        regions = item.get('regions') or []
        if isinstance(regions, dict):
            # VIA 1 has an object with numbers as keys.
            regions = list(regions.values())
        if not isinstance(regions, list):
            raise ValueError(f'{where}: regions are {shown(regions)}')
        yield (
            f'image {number} ({image})',
            image,
            as_object(
                item.get('file_attributes'), f'{where}: file_attributes'
            ),
            [
                as_object(
                    as_object(region, where).get('region_attributes'),
                    f'{where}: region_attributes',
                )
                for region in regions
            ],
        )


def _csv_items(content: Content) -> Iterator[Item]:
    path = content.path
    for line, row in csv_records(path, comment='#'):
        place = f'line {line}'
        where = f'{path}, {place}'
        missing = [name for name in HEADER if name not in row]
        if missing:
            raise ValueError(
                f'{path} has no column {missing[0]}; it is not of VIA'
            )
        image = as_name(row['filename'], f'{where}: filename')
        file_attributes, region = (
            _cell(row[key], f'{where}: {key}')
            for key in ('file_attributes', 'region_attributes')
        )
        has_region = row['region_count'].strip() not in ('', '0')
        yield place, image, file_attributes, [region] if has_region else []


def _cell(text: str, where: str) -> dict[str, Any]:
    try:
        return as_object(json.loads(text or '{}'), where)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f'{where} is {shown(text)}, not JSON; export it again'
        ) from error


def _values(
    attributes: dict[str, Any], where: str
) -> Iterator[tuple[str, str]]:
    """Yield keys and names: of texts, and of boxes that are ticked."""
    for key, value in attributes.items():
        if isinstance(value, dict):
            for name, ticked in value.items():
                if ticked is True and name.strip():
                    yield key, name.strip()
        elif isinstance(value, str):
            if value.strip():
                yield key, value.strip()
        elif value is not None:
            raise ValueError(f'{where}: {key} is {shown(value)}, not a name')


FORMAT = LabelFormat('via', 'VGG Image Annotator', _matches, _read)
