"""XML files, without anything that a file may ask a parser for.

ElementTree loads no external entities, and expat (2.4.1 and later) stops at
entities that grow; entities of a file's own are refused before that.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from mmseg_weakclip.datasets.labels.content import HEAD_BYTES

ENTITY = b'<!ENTITY'
CURE = 'Is the file cut off? Export it again.'


def root_tag(path: Path) -> str:
    """Return the name of the root of an XML file; '' if there is none."""
    try:
        for _, element in ElementTree.iterparse(path, events=('start',)):
            return element.tag
    except (OSError, ValueError, LookupError, ElementTree.ParseError):
        pass
    return ''


def read_children(path: Path) -> Iterator[ElementTree.Element]:
    """Yield the elements directly below the root as soon as they are read.

    Each is dropped when the next is asked for, so that a large file needs
    little memory.

    Args:
        path: XML file.

    Raises:
        ValueError: The file is not valid XML, or defines entities.
    """
    refuse_entities(path)
    root, level = None, 0
    try:
        events = ElementTree.iterparse(path, events=('start', 'end'))
        for event, element in events:
            if event == 'start':
                root = element if root is None else root
                level += 1
                continue
            level -= 1
            if level == 1 and root is not None:
                yield element
                root.remove(element)
    except (ValueError, LookupError, ElementTree.ParseError) as error:
        message = f'{path} is not valid XML: {error}. {CURE}'
        raise ValueError(message) from error


def read_root(path: Path) -> ElementTree.Element:
    """Return the root of an XML file.

    Raises:
        ValueError: The file is not valid XML, or defines entities.
    """
    refuse_entities(path)
    try:
        return ElementTree.parse(path).getroot()
    except (ValueError, LookupError, ElementTree.ParseError) as error:
        message = f'{path} is not valid XML: {error}. {CURE}'
        raise ValueError(message) from error


def refuse_entities(path: Path) -> None:
    """Check that an XML file defines no entities of its own.

    Raises:
        ValueError: It does; no annotation tool writes any.
    """
    with path.open('rb') as file:
        head = file.read(HEAD_BYTES)
    # Without zeros, UTF-16 reads like ASCII here.
    if ENTITY in head.replace(b'\0', b''):
        raise ValueError(
            f'{path} defines XML entities, which are not read; no annotation '
            'tool writes them'
        )
