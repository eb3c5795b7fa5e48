"""A folder of PASCAL VOC's boxes, ``Annotations/<id>.xml``."""

from xml.etree import ElementTree

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
    listed_files,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow


def matches(content: Content) -> bool:
    """Return whether a folder holds XML files."""
    return '.xml' in content.suffixes


def read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the classes of the boxes.

    Raises:
        ValueError: A file is damaged.
        FileNotFoundError: Files are missing.
    """
    rows = []
    for file in options.track(listed_files(content.path, '.xml', options.ids)):
        try:
            root = ElementTree.parse(file).getroot()
        except ElementTree.ParseError as error:
            raise ValueError(f'{file} is not valid XML: {error}.') from error
        # Only the root's own objects: people have parts with names (head,
        # hand, foot) that are not classes.
        names = (
            (item.findtext('name') or '').strip()
            for item in root.findall('object')
            if options.difficult
            or (item.findtext('difficult') or '0').strip() != '1'
        )
        rows.append(
            LabelRow(file.name, file.stem, tuple(dict.fromkeys(names)))
        )
    return LabelFile(str(content.path), FORMAT.title, tuple(rows))


FORMAT = LabelFormat('voc-xml', 'VOC XML', matches, read)
