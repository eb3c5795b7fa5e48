"""Reader of lists of images, one id or file per line."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmengine import fileio

from .image_labels import IMAGE_SUFFIXES


@dataclass(frozen=True)
class ListedImage:
    """Image that a list names.

    Attributes:
        name: Path below the image folder, without the suffix.
        suffix: Suffix of the image file; '' if the line has none.
    """

    name: str
    suffix: str = ''

    @property
    def image_id(self) -> str:
        """Id of the image: its name without folders."""
        return PurePosixPath(self.name).name


def _split_suffix(path: str) -> tuple[str, str]:
    suffix = PurePosixPath(path).suffix
    if suffix.lower() in IMAGE_SUFFIXES:
        return path[: -len(suffix)], suffix
    return path, ''


def parse_line(line: str, image_folder: str) -> ListedImage:
    """Read one line of a list.

    A line is an id, an image file, or an image file and its mask
    (``/JPEGImages/x.jpg /SegmentationClassAug/x.png``; the mask's folder
    does not matter). The image folder's own name in front is dropped, other
    folders stay.

    Args:
        line: Text of the line, not empty.
        image_folder: Folder of the images.

    Raises:
        ValueError: The image and the mask have different names.
    """
    parts = line.split()
    masks = [_split_suffix(part) for part in parts[1:]]
    image, suffix = _split_suffix(parts[0])
    # In 'my photo.jpg' the blank belongs to the name.
    if len(masks) == 1 and masks[0][1] and suffix:
        if PurePosixPath(image).name != PurePosixPath(masks[0][0]).name:
            raise ValueError(
                f'the line {line.strip()!r} pairs files of different names'
            )
    else:
        image, suffix = _split_suffix(line.strip())
    path = PurePosixPath(image)
    folders = [part for part in path.parent.parts if part not in ('/', '.')]
    if folders and folders[0] == PurePosixPath(image_folder).name:
        folders = folders[1:]
    elif path.is_absolute():
        folders = []
    return ListedImage('/'.join([*folders, path.name]), suffix)


def read_id_list(
    path: str | Path, image_folder: str = '', backend_args: dict | None = None
) -> list[ListedImage]:
    """Read a list file; see :func:`parse_line`.

    Args:
        path: Path of the list.
        image_folder: Folder of the images.
        backend_args: Arguments of mmengine's file backend.

    Raises:
        ValueError: A line does not name an image (the message has its
            number), or the list is empty.
    """
    images = []
    text = fileio.get_text(path, 'utf-8-sig', backend_args)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            images.append(parse_line(line, image_folder))
        except ValueError as error:
            raise ValueError(f'{path}, line {number}: {error}.') from error
    if not images:
        raise ValueError(f'The list {path} names no image.')
    return images


def drop_repeated(
    images: Iterable[ListedImage],
) -> tuple[list[ListedImage], dict[str, int]]:
    """Keep the first entry of every image.

    Args:
        images: Images in the order of the list.

    Returns:
        The images without repetitions, and how often each repeated id was
        listed.

    Raises:
        ValueError: Two different files have the same id.
    """
    images = list(images)
    count = Counter(image.image_id for image in images)
    kept: dict[str, ListedImage] = {}
    for image in images:
        first = kept.setdefault(image.image_id, image)
        if first != image:
            raise ValueError(
                f'{first.name}{first.suffix} and {image.name}{image.suffix} '
                f'have the same image id {image.image_id!r}, by which labels '
                'are found. Rename one.'
            )
    return list(kept.values()), {k: n for k, n in count.items() if n > 1}
