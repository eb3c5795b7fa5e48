"""CVAT's XML: "CVAT for images 1.1".

Reference: https://docs.cvat.ai/docs/other/xml_format
"""

from collections import Counter
from xml.etree.ElementTree import Element

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.readers.values import counted
from mmseg_weakclip.datasets.labels.readers.xml_files import (
    read_children,
    root_tag,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

SHAPES = ('tag', 'box', 'polygon', 'polyline', 'points', 'mask', 'ellipse',
          'cuboid', 'skeleton')  # fmt: skip
MACHINES = ('auto', 'semi-auto')


def _matches(content: Content) -> bool:
    """Return whether the root of an XML file is CVAT's."""
    return content.suffix == '.xml' and root_tag(content.path) == 'annotations'


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the labels of tags and shapes.

    The classes are those of ``<meta>``, in their order. An image without
    shapes is one without classes.

    Raises:
        ValueError: The XML is broken, of a video, or has a shape without a
            label, or with one that ``<meta>`` lacks.
    """
    path = content.path
    rows: list[LabelRow] = []
    classes: dict[str, None] = {}
    sources: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for element in read_children(path):
        if element.tag == 'meta':
            classes.update(dict.fromkeys(_meta_labels(element)))
        elif element.tag == 'track':
            raise ValueError(
                f'{path} is an export of a video, whose frames are no files; '
                'export the task as "CVAT for images 1.1"'
            )
        elif element.tag == 'image':
            rows.append(_row(str(path), element, sources, others))
    for row in rows:
        for name in row.names:
            if classes and name not in classes:
                raise ValueError(
                    f'{path}, {row.place}: the label {name!r} is not among '
                    f'those of <meta> ({", ".join(classes)})'
                )
    notes = []
    made = sum(sources[machine] for machine in MACHINES)
    if made:
        notes.append(
            f'{made} of {counted(sources.total(), "label")} made by a model '
            '(source="auto"), read like the others'
        )
    notes += [
        f'not read: {counted(number, f"<{tag}>")}'
        for tag, number in sorted(others.items())
    ]
    return LabelFile(
        str(path),
        FORMAT.title,
        tuple(rows),
        tuple(classes) or None,
        tuple(notes),
    )


def _meta_labels(meta: Element) -> list[str]:
    """Return the labels of a task, job or project, without their parts."""
    return [
        (label.findtext('name') or '').strip()
        for label in meta.iter('label')
        # The points of a skeleton are labels with a parent.
        if label.find('name') is not None and label.find('parent') is None
    ]


def _row(
    path: str, image: Element, sources: Counter[str], others: Counter[str]
) -> LabelRow:
    name = (image.get('name') or '').strip()
    number = image.get('id', '?')
    if not name:
        raise ValueError(f'{path}, image {number}: it has no name')
    place = f'image {number} ({name})'
    names: dict[str, None] = {}
    for shape in image:
        if shape.tag not in SHAPES:
            others[str(shape.tag)] += 1
            continue
        label = (shape.get('label') or '').strip()
        if not label:
            raise ValueError(
                f'{path}, {place}: a <{shape.tag}> has no label; give it one '
                'in CVAT'
            )
        sources[shape.get('source', 'manual')] += 1
        names[label] = None
    return LabelRow(place, name, tuple(names))


FORMAT = LabelFormat('cvat-xml', 'CVAT XML', _matches, _read)
