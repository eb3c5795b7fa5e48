"""Image labels: which classes each image of a set shows."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.names import BACKGROUND, NameIndex, split_background

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.tif',
                  '.tiff', '.webp', '.heic', '.heif')  # fmt: skip
# The files of COCO 2014 carry their split; lists and masks often do not.
COCO_PREFIX = re.compile(r'^COCO_(?:train|val|test)\d{4}_(?=\d+$)')
# VOC ids that lost their underscore: 2007000032 is 2007_000032.
VOC_NUMBERS = range(2007_000000, 2013_000000)


def canonical_image_id(key: str | int) -> str:
    """Return the image id (file stem) that a key of a label file means.

    Args:
        key: Id, file name or path of an image, or its number. A path loses
            its folders and its image suffix, a COCO 2014 file name its
            split; a number becomes a VOC id where it reads as one, else a
            12-digit COCO id.
    """
    if isinstance(key, int):
        if key in VOC_NUMBERS:
            return f'{key // 10**6}_{key % 10**6:06d}'
        return f'{key:012d}'
    path = PurePosixPath(key.strip())
    known = path.suffix.lower() in IMAGE_SUFFIXES
    return COCO_PREFIX.sub('', path.stem if known else path.name)


@dataclass(frozen=True)
class ImageLabels:
    """Classes that each image of a set shows.

    Attributes:
        classes: Foreground class names.
        labels: Sorted 0-based indices of the classes of each image id.
        source: File or folder the labels come from, for messages.
    """

    classes: tuple[str, ...]
    labels: Mapping[str, tuple[int, ...]]
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, image_id: str) -> bool:
        return self._key(image_id) in self.labels

    def restricted_to(self, classes: Sequence[str]) -> 'ImageLabels':
        """Return the labels of some of the classes; images may have none.

        Args:
            classes: Foreground class names, in their new order.

        Raises:
            ValueError: A class is not among those of the labels.
        """
        unknown = sorted(set(classes) - set(self.classes))
        if unknown:
            raise ValueError(
                f'{self.source} has labels of {len(self.classes)} classes, '
                f'{unknown} not among them: {", ".join(self.classes)}'
            )
        ids = {self.classes.index(name): i for i, name in enumerate(classes)}
        labels = {
            name: tuple(sorted(ids[index] for index in own if index in ids))
            for name, own in self.labels.items()
        }
        return ImageLabels(tuple(classes), labels, self.source)

    def _key(self, image_id: str) -> str:
        if image_id in self.labels:
            return image_id
        return canonical_image_id(image_id)

    def __getitem__(self, image_id: str) -> tuple[int, ...]:
        """Return the sorted class indices of one image.

        Raises:
            ValueError: There are no labels for this image.
        """
        try:
            return self.labels[self._key(image_id)]
        except KeyError:
            example = next(iter(self.labels), None)
            raise ValueError(
                f"{self.source} has no labels for image '{image_id}' (it "
                f'names {len(self)} images, the first is {example!r}). Add '
                'the image, or make the file anew with '
                'tools/dataset_converters/image_labels.py.'
            ) from None

    def names(self, image_id: str) -> tuple[str, ...]:
        """Return the class names of one image; see :meth:`__getitem__`."""
        return tuple(self.classes[i] for i in self[image_id])

    def counts(self) -> dict[str, int]:
        """Count the images that show each class."""
        count = Counter(i for ids in self.labels.values() for i in ids)
        return {name: count[i] for i, name in enumerate(self.classes)}

    def for_classes(self, classes: Sequence[str]) -> 'ImageLabels':
        """Return the same labels over another list of classes.

        Args:
            classes: Class names, with or without the background in front.

        Raises:
            ValueError: An image shows a class that the list lacks.
        """
        collector = LabelCollector(self.source, classes)
        for image_id in self.labels:
            indices = [
                collector.find(name, image_id) for name in self.names(image_id)
            ]
            collector.add(image_id, indices)
        return collector.result()

    def subset(self, image_ids: Iterable[str]) -> 'ImageLabels':
        """Return the labels of some of the images.

        Args:
            image_ids: Ids of these images.

        Raises:
            ValueError: There are no labels for some of them.
        """
        image_ids = list(dict.fromkeys(image_ids))
        missing = [name for name in image_ids if name not in self]
        if missing:
            raise ValueError(
                f'{self.source} has no labels for {len(missing)} of '
                f'{len(image_ids)} images, the first is {missing[0]!r}.'
            )
        labels = {name: self[name] for name in image_ids}
        return ImageLabels(self.classes, labels, self.source)

    def save(self, path: str | Path) -> None:
        """Write the labels as JSON, atomically, sorted by image id."""
        lines = ',\n'.join(
            f'{_json(image_id)}: {_json(self.names(image_id))}'
            for image_id in sorted(self.labels)
        )
        text = (
            f'{{"classes": {_json(self.classes)},\n"labels": {{\n{lines}\n}}}}'
        )
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (text + '\n').encode())


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


class LabelCollector:
    """Collector of labels that reports all unknown classes together.

    Args:
        source: File or folder that is read, for messages.
        classes: Class names, with or without the background in front.
    """

    def __init__(self, source: str | Path, classes: Sequence[str]) -> None:
        self.source = str(source)
        self.classes, _ = split_background(classes)
        self._index = NameIndex(self.classes)
        self._labels: dict[str, tuple[int, ...]] = {}
        self._unknown: dict[str, list[str]] = {}

    def find(self, name: str, image_id: str, where: str = '') -> int:
        """Return the index of a class name.

        Args:
            name: Class name as the file spells it.
            image_id: Id of the image that has this class.
            where: Place in the source, e.g. 'line 3', for the message.

        Returns:
            The index; -1 for an unknown name, which :meth:`result` reports.
        """
        index = self._index.find(name)
        if index is None:
            place = f'image {image_id!r}' + (f', {where}' if where else '')
            self._unknown.setdefault(name, []).append(place)
            return -1
        return index

    def check_index(self, index: int, image_id: str, where: str = '') -> int:
        """Return a 0-based foreground index if there is such a class.

        Args:
            index: Index of the class.
            image_id: Id of the image that has this class.
            where: Place in the source, e.g. 'line 3', for the message.

        Raises:
            ValueError: There is no such class.
        """
        if not 0 <= index < len(self.classes):
            place = f'image {image_id!r}' + (f', {where}' if where else '')
            raise ValueError(
                f'{self.source}: class {index} of {place} is not among the '
                f'{len(self.classes)} foreground classes; ids count from 0 '
                'and leave the background out.'
            )
        return index

    def add(self, image_id: str | int, indices: Iterable[int]) -> None:
        """Set the labels of one image.

        Raises:
            ValueError: The image has other labels already.
        """
        key = canonical_image_id(image_id)
        ids = tuple(sorted(set(indices)))
        if self._labels.setdefault(key, ids) != ids:
            raise ValueError(
                f'{self.source} gives image {key!r} two different sets of '
                'labels. Keep one.'
            )

    def check(self) -> None:
        """Check that all names so far are known.

        Raises:
            ValueError: There were unknown class names.
        """
        if self._unknown:
            raise ValueError(self._describe_unknown())

    def result(self) -> ImageLabels:
        """Return all labels.

        Raises:
            ValueError: There were unknown class names, or no image at all.
        """
        self.check()
        if not self._labels:
            raise ValueError(f'{self.source} holds labels of no image.')
        return ImageLabels(self.classes, self._labels, self.source)

    def _describe_unknown(self) -> str:
        parts = []
        for name, places in list(self._unknown.items())[:10]:
            nearest = self._index.nearest(name)
            hint = f'; nearest: {", ".join(nearest)}' if nearest else ''
            if name == BACKGROUND:
                hint = '; the background is not a label'
            parts.append(
                f'{name!r} ({len(places)}x, first for {places[0]}{hint})'
            )
        return (
            f'{self.source} names {len(self._unknown)} classes that are not '
            f'in the list of {len(self.classes)} foreground classes: '
            + '; '.join(parts)
            + '. Correct the names or give the class list that they belong '
            'to.'
        )
