"""Superpixels of a whole data set, image by image or shard by shard.

Worker processes run this, so it is a module of its own that they can import.
"""

from dataclasses import dataclass, field

from mmengine import fileio

from mmseg_weakclip.common.image_headers import decode_image_size
from mmseg_weakclip.common.images import decode_color_image

from .shards import SHARD_ERRORS, read_shard
from .stream import WebDatasetCaptions
from .superpixels import FelzenszwalbSuperpixels


@dataclass
class FilledPart:
    """Result of filling the cache for an image or a shard.

    Attributes:
        found: Number of images whose superpixels were found now.
        there: Number of images that were in the cache.
        problems: Files that could not be read, and why.
    """

    found: int = 0
    there: int = 0
    problems: list[str] = field(default_factory=list)

    def __iadd__(self, other: 'FilledPart') -> 'FilledPart':
        self.found += other.found
        self.there += other.there
        self.problems += other.problems
        return self


def _fill(
    content: bytes,
    place: str,
    name: str,
    transform: FelzenszwalbSuperpixels,
    done: FilledPart,
) -> None:
    """Fill the cache for one image; report a damaged one."""
    if transform.cache is None:
        raise ValueError('FelzenszwalbSuperpixels needs a cache_dir here')
    try:
        size = decode_image_size(content, place)
    except ValueError as error:
        done.problems.append(str(error))
        return
    if transform.cache.has(name, size):
        done.there += 1
        return
    try:
        image = decode_color_image(content, place)
    except ValueError as error:
        done.problems.append(str(error))
        return
    transform.find(image, name)
    done.found += 1


def fill_image(
    item: tuple[str, str],
    transform: FelzenszwalbSuperpixels,
    backend_args: dict | None = None,
) -> FilledPart:
    """Find the superpixels of an image, unless the cache has them.

    Args:
        item: Path of the image, and its name below the folder of the images.
        transform: Transform that finds superpixels; it must have a cache.
        backend_args: Arguments of mmengine's file backend.

    Raises:
        ValueError: The cache has other parameters, or another image of this
            name.
    """
    path, name = item
    done = FilledPart()
    try:
        content = fileio.get(path, backend_args)
    except OSError as error:
        done.problems.append(f'{path}: {error}')
        return done
    _fill(content, path, name, transform, done)
    return done


def fill_shard(
    url: str,
    transform: FelzenszwalbSuperpixels,
    dataset: WebDatasetCaptions,
) -> FilledPart:
    """Find the superpixels of the good samples of a shard.

    Args:
        url: File or URL of the shard.
        transform: Transform that finds superpixels; it must have a cache.
        dataset: Data set that names the images.

    Raises:
        ValueError: The cache has other parameters, or another image of the
            same name.
    """
    done = FilledPart()
    samples = read_shard(url, dataset.caption_key)
    while True:
        try:
            sample = next(samples, None)
        except SHARD_ERRORS as error:
            done.problems.append(f'{url}: {error}')
            return done
        if sample is None:
            return done
        if sample.problem:
            done.problems.append(f'{sample.place}: {sample.problem}')
        elif sample.caption:
            name = dataset.image_name(sample)
            _fill(sample.image, sample.place, name, transform, done)
