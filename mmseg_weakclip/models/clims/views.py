"""Views of images, and their embeddings on disk (CLIMS+).

A view is the whole image or a crop of it (:func:`five_crops`,
:func:`cut_views`). :class:`ImageViews` reads them from a data set,
:func:`encode_views` encodes them by CLIP, and :class:`ViewStore` keeps the
embeddings in files, so that a stopped run continues.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.workers import progress_bar

MADE_OF = 'made_of.json'


def five_crops(share: float | None = 0.6) -> tuple[tuple[float, ...], ...]:
    """Return boxes of the whole image, its four corners and its centre.

    Args:
        share: Width and height of a crop, as a share of the image's; None
            for the whole image only.

    Returns:
        Boxes (left, top, right, bottom) in [0, 1].

    Raises:
        ValueError: The share is not between 0 and 1.
    """
    whole = (0.0, 0.0, 1.0, 1.0)
    if share is None:
        return (whole,)
    if not 0 < share < 1:
        raise ValueError(f'crops of share={share} must be between 0 and 1')
    far, near = 1 - share, (1 - share) / 2
    starts = ((0, 0), (far, 0), (0, far), (far, far), (near, near))
    return (whole, *((x, y, x + share, y + share) for x, y in starts))


def cut_views(
    image: Tensor, boxes: Sequence[Sequence[float]], size: tuple[int, int]
) -> Tensor:
    """Cut views out of an image and prepare them for CLIP.

    Each is resized to the tower's input without keeping its aspect ratio:
    CLIP's own centre crop would lose the margins, where the background is.

    Args:
        image: RGB image, 0..255, (3, H, W).
        boxes: V boxes (left, top, right, bottom) in [0, 1].
        size: Height and width (S, T) of CLIP's input.

    Returns:
        Views normalised for CLIP, float32, (V, 3, S, T).
    """
    height, width = image.shape[1:]
    views = []
    for left, top, right, bottom in boxes:
        x, y = round(left * width), round(top * height)
        # A view of a tiny image still has a pixel.
        x, y = min(x, width - 1), min(y, height - 1)
        end_x = max(round(right * width), x + 1)
        end_y = max(round(bottom * height), y + 1)
        views.append(
            F.interpolate(
                image[None, :, y:end_y, x:end_x].float(),
                size,
                mode='bicubic',
                align_corners=False,
                antialias=True,
            )
        )
    result = torch.cat(views).clamp(0, 255) / 255
    mean, std = (
        result.new_tensor(value).view(3, 1, 1)
        for value in (
            open_clip.OPENAI_DATASET_MEAN,
            open_clip.OPENAI_DATASET_STD,
        )
    )
    return (result - mean) / std


class ImageViews(Dataset):
    """The views of each image of an mmseg data set; see :func:`cut_views`.

    Args:
        dataset: Data set with samples of ``inputs``, BGR, 0..255, (3, H, W).
        boxes: V boxes (left, top, right, bottom) in [0, 1].
        size: Height and width of CLIP's input.
    """

    def __init__(
        self,
        dataset: Dataset,
        boxes: Sequence[Sequence[float]],
        size: tuple[int, int],
    ) -> None:
        self.dataset = dataset
        self.boxes = boxes
        self.size = size

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Tensor:
        image = self.dataset[index]['inputs']
        return cut_views(image.flip(0), self.boxes, self.size)


class ViewStore:
    """Embeddings of the views of a data set, in files of ``chunk`` images.

    Files are written atomically, so a stopped run continues with the
    existing files. ``made_of.json`` beside them stores their inputs.

    Args:
        folder: Folder of the files; created if necessary.
        made_of: All inputs of the embeddings, as JSON values: CLIP's
            weights, the crops, the images.
        count: Number N of images.
        chunk: Number of images of a file.

    Raises:
        ValueError: The folder holds embeddings of other inputs; the message
            names them.
    """

    def __init__(
        self,
        folder: str | Path,
        made_of: Mapping[str, Any],
        count: int,
        chunk: int = 256,
    ) -> None:
        self.folder = Path(folder)
        self.count = count
        self.chunk = chunk
        self.folder.mkdir(parents=True, exist_ok=True)
        made_of = dict(made_of, count=count, chunk=chunk)
        path = self.folder / MADE_OF
        if not path.is_file():
            write_atomically(path, json.dumps(made_of, indent=1).encode())
            return
        found = json.loads(path.read_text(encoding='utf-8'))
        wanted = json.loads(json.dumps(made_of))
        differing = [
            f'{key} {found.get(key)!r} instead of {wanted.get(key)!r}'
            for key in sorted(found.keys() | wanted.keys())
            if found.get(key) != wanted.get(key)
        ]
        if differing:
            raise ValueError(
                f'{self.folder} holds image embeddings that were made of '
                f'{"; ".join(differing)}; choose another --work-dir or '
                'remove this folder'
            )

    def _path(self, first: int) -> Path:
        return self.folder / f'views_{first:07d}.safetensors'

    def _ranges(self) -> Iterator[range]:
        for first in range(0, self.count, self.chunk):
            yield range(first, min(first + self.chunk, self.count))

    def missing(self) -> list[range]:
        """Return the images of each file that does not exist yet."""
        return [r for r in self._ranges() if not self._path(r.start).is_file()]

    def write(self, images: range, embeddings: Tensor) -> None:
        """Write the file of some images.

        Args:
            images: One of :meth:`missing`.
            embeddings: Embeddings of their views, (len(images), V, E).
        """
        kept = embeddings.to('cpu', torch.float16).contiguous()
        write_atomically(self._path(images.start), save(dict(views=kept)))

    def read(self) -> Tensor:
        """Return all embeddings, float16, (N, V, E).

        Raises:
            ValueError: A file is damaged.
        """
        parts = []
        for images in self._ranges():
            path = self._path(images.start)
            try:
                parts.append(load_file(path)['views'])
            except (SafetensorError, KeyError) as error:
                raise ValueError(
                    f'{path} is damaged ({error}); remove it and run again'
                ) from error
        return torch.cat(parts)


@torch.no_grad()
def encode_views(
    store: ViewStore,
    images: Dataset,
    encode: Callable[[Tensor], Tensor],
    device: torch.device | str,
    batch_size: int = 32,
    num_workers: int = 0,
) -> None:
    """Add missing embeddings to a store, with a progress bar.

    Args:
        store: Store for as many images.
        images: Data set of views (V, 3, S, T).
        encode: CLIP's image tower, from (B, 3, S, T) to (B, E).
        device: Device of the tower.
        batch_size: Number of images at a time, with V views each.
        num_workers: Number of processes that read images.
    """
    missing = store.missing()
    # No batch has images of two files.
    batches = [
        list(part[first : first + batch_size])
        for part in missing
        for first in range(0, len(part), batch_size)
    ]
    if not batches:
        return
    loader = iter(
        DataLoader(images, batch_sampler=batches, num_workers=num_workers)
    )
    progress = progress_bar('encode images', sum(map(len, missing)))
    for part in missing:
        done: list[Tensor] = []
        while sum(map(len, done)) < len(part):
            views = next(loader)
            embeddings = encode(views.flatten(0, 1).to(device))
            done.append(embeddings.float().view(*views.shape[:2], -1).cpu())
            progress.update(len(views))
        store.write(part, torch.cat(done))
    progress.close()
