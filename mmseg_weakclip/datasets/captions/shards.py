"""Tar shards of captioned images, as img2dataset writes them."""

import json
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import cv2
from mmengine import fileio

from mmseg_weakclip.common.image_headers import is_cut_off
from mmseg_weakclip.common.images import decode_color_image, shrink

IMAGE_KEYS = ('jpg', 'jpeg', 'png', 'webp')
BLOCK = 1 << 16
JPEG_QUALITY = 95
# Errors of a tar file that is damaged or cannot be read.
SHARD_ERRORS = (OSError, EOFError, tarfile.TarError, ValueError, zlib.error)


def require_webdataset() -> ModuleType:
    """Import the library webdataset.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import webdataset
    except ImportError as error:
        raise ImportError(
            "tar shards need webdataset: pip install 'mmseg_weakclip[segclip]'"
        ) from error
    return webdataset


def is_remote(url: str) -> bool:
    """Return whether a shard is not a local file."""
    return '://' in url or url.startswith('pipe:')


def expand_shards(
    shards: str | Sequence[str], data_root: str = ''
) -> list[str]:
    """List the files or URLs of all shards, in order.

    Args:
        shards: One or several files or URLs, in which braces stand for many:
            ``'cc3m/{00000..00331}.tar'``.
        data_root: Folder of the local shards.

    Raises:
        FileNotFoundError: Local shards do not exist.
        ValueError: There is no shard, or one is listed twice.
    """
    expand = require_webdataset().shardlists.expand_urls
    patterns = [shards] if isinstance(shards, str) else shards
    found = [
        url if is_remote(url) else str(Path(data_root, url))
        for pattern in patterns
        for url in expand(pattern)
    ]
    if not found:
        raise ValueError('WebDatasetCaptions was given no shards.')
    if len(set(found)) < len(found):
        twice = next(url for url in found if found.count(url) > 1)
        raise ValueError(f'The shard {twice} is listed twice.')
    missing = [
        url for url in found if not is_remote(url) and not Path(url).is_file()
    ]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(found)} shards do not exist, the first '
            f'is {missing[0]}.'
        )
    return found


class ShardSample(NamedTuple):
    """Sample of a shard, not decoded.

    Attributes:
        url: File or URL of the shard.
        key: Name of the sample in the shard.
        image: Bytes of the image file; empty without an image.
        image_key: Suffix of the image file, without the dot.
        caption: Caption, stripped; may be empty.
        problem: What is wrong with the sample; '' if nothing.
    """

    url: str
    key: str
    image: bytes
    image_key: str
    caption: str
    problem: str

    @property
    def place(self) -> str:
        """Shard and name of the sample, for messages."""
        return f'{self.url}, {self.key}'


def _iter_files(url: str) -> Iterator[dict[str, Any]]:
    """Yield the files of a tar in the form that webdataset groups.

    webdataset's own reader takes a damaged header in the middle of a shard
    for its end, as Python's tarfile does, without an error.
    """
    stream = require_webdataset().gopen(url)
    with stream, tarfile.open(fileobj=stream, mode='r|*') as tar:
        for member in tar:
            if file := tar.extractfile(member) if member.isreg() else None:
                yield dict(fname=member.name, data=file.read(), __url__=url)
            # It would keep all headers that it has read.
            tar.members = []  # type: ignore[attr-defined]
        while block := tar.fileobj.read(BLOCK):
            if block.strip(b'\0'):
                raise tarfile.ReadError('there is data behind its end')


def read_shard(
    url: str, caption_key: str = 'caption'
) -> Iterator[ShardSample]:
    """Yield the samples of a shard in order, including bad ones.

    The caption is the file ``<key>.txt`` or, without one, a field of
    ``<key>.json``. In a damaged shard, the sample right before the damage
    and all after it are lost.

    Args:
        url: File or URL of the shard.
        caption_key: Field of the caption in ``<key>.json``.

    Raises:
        OSError, tarfile.TarError, ValueError, EOFError, zlib.error: The
            shard cannot be read or is damaged.
    """
    group = require_webdataset().tariterators.group_by_keys
    for files in group(_iter_files(url)):
        image_key = next((k for k in IMAGE_KEYS if k in files), '')
        image = files.get(image_key, b'')
        caption, problem = _caption(files, caption_key)
        if not image:
            problem = 'it has no image'
        elif is_cut_off(image):
            problem = 'its image is cut off'
        yield ShardSample(
            url, files['__key__'], image, image_key, caption, problem
        )


def _caption(files: dict[str, Any], caption_key: str) -> tuple[str, str]:
    """Return the caption of a sample and what is wrong with it."""
    try:
        if 'txt' in files:
            return files['txt'].decode().strip(), ''
        if 'json' in files:
            caption = json.loads(files['json'])[caption_key]
            # img2dataset writes null where the list of URLs had no text.
            return (caption or '').strip(), ''
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return '', f'its caption is broken ({error!r})'
    return '', 'it has no caption file'


def image_for_shard(
    path: str, short_side: int | None = None, backend_args: dict | None = None
) -> tuple[str, bytes]:
    """Encode an image for a shard.

    Args:
        path: Path of the image.
        short_side: An image with a larger short side is shrunk to this
            size and encoded as JPEG. None takes the file as it is, or a PNG
            if shards cannot have its format.
        backend_args: Arguments of mmengine's file backend.

    Returns:
        Suffix without the dot, and bytes of the file.

    Raises:
        ValueError: The file is damaged or not an image.
    """
    content = fileio.get(path, backend_args)
    image = decode_color_image(content, path)
    if short_side is not None and min(image.shape[:2]) > short_side:
        image = shrink(image, short_side)
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        return 'jpg', cv2.imencode('.jpg', image, quality)[1].tobytes()
    suffix = Path(path).suffix.lower().removeprefix('.')
    if suffix in IMAGE_KEYS:
        return suffix, content
    return 'png', cv2.imencode('.png', image)[1].tobytes()
