"""Regions of the images of a batch, as the network sees them."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.common.region_files import read_regions, region_path

MISSING = ('error', 'skip')


@dataclass
class BatchRegions:
    """Regions of the images of a batch.

    Attributes:
        ids: Region of each pixel of the network's input, -1 where there is
            none, (B, H, W). An image without a file is one region.
        known: Whether an image has a file, (B,) of Python's.
    """

    ids: Tensor
    known: list[bool]


class RegionSource:
    """Reads the regions of images from the files of ``weakclip regions``.

    Small regions are painted over large ones, then resized and flipped as
    the image was.

    Args:
        folder: Folder of the files.
        missing: What an image without a file is: an ``'error'``, or a reason
            to ``'skip'`` regions for this image.

    Raises:
        ValueError: The folder does not exist, or ``missing`` has another
            value.
    """

    def __init__(self, folder: str, missing: str = 'error') -> None:
        if missing not in MISSING:
            raise ValueError(f'missing={missing!r} must be one of {MISSING}')
        if not Path(folder).is_dir():
            raise ValueError(
                f'regions: the folder {folder} does not exist; make it with '
                '`weakclip regions` and name it by folder=...'
            )
        self.folder = folder
        self.missing = missing

    def __call__(
        self,
        metas: list[dict],
        size: tuple[int, int],
        device: torch.device | str = 'cpu',
    ) -> BatchRegions:
        """Return the regions of images.

        Args:
            metas: Meta information of each image, with ``img_path``; its size
                is ``true_shape``, or ``ori_shape`` without one.
            size: Height and width of the network's input.
            device: Where the ids go.

        Raises:
            ValueError: The file of an image is missing or damaged, or has
                regions of another image.
        """
        found = [self._read(meta, size) for meta in metas]
        whole = torch.zeros(size, dtype=torch.long)
        ids = torch.stack([whole if one is None else one for one in found])
        return BatchRegions(ids.to(device), [one is not None for one in found])

    def paint(self, masks: Tensor, image_path: Path) -> Tensor:
        """Return the region of each pixel, -1 for none, int64, (H, W).

        Args:
            masks: Pixels of each region, bool, (R, H, W).
            image_path: The image.
        """
        return smallest_regions(masks)

    def _read(self, meta: dict, size: tuple[int, int]) -> Tensor | None:
        image_path = Path(meta['img_path'])
        path = region_path(self.folder, image_path.stem)
        if not path.is_file():
            if self.missing == 'skip':
                return None
            raise ValueError(
                f'the image {image_path.stem} has no regions: {path} does not '
                'exist; make it with `weakclip regions`, or go on without '
                'regions for such images by regions.missing=skip'
            )
        known = image_path if image_path.is_file() else None
        masks = torch.from_numpy(read_regions(path, known).masks)
        # Averages of views may ask for logits of another size.
        shape = tuple(meta.get('true_shape', meta['ori_shape'])[:2])
        if tuple(masks.shape[1:]) != shape:
            raise ValueError(
                f'{path} has regions of {tuple(masks.shape[1:])} pixels, '
                f'{image_path} has {shape}'
            )
        painted = self.paint(masks, image_path)
        height, width = meta['img_shape'][:2]
        resized = F.interpolate(
            painted[None, None].double(), (height, width), mode='nearest-exact'
        )[0, 0].long()
        if meta.get('flip'):
            across = meta.get('flip_direction') == 'horizontal'
            resized = resized.flip(1 if across else 0)
        return F.pad(
            resized, (0, size[1] - width, 0, size[0] - height), value=-1
        )


def smallest_regions(masks: Tensor) -> Tensor:
    """Return the smallest region around each pixel of an image.

    Args:
        masks: Pixels of each region, bool, (R, H, W).

    Returns:
        Index of the smallest region around each pixel, -1 for none, int64,
        (H, W).
    """
    painted = torch.full(masks.shape[1:], -1, device=masks.device)
    areas = masks.flatten(1).sum(1)
    for index in areas.argsort(descending=True, stable=True).tolist():
        painted[masks[index]] = index
    return painted


def majority_vote(
    logits: Tensor, ids: Tensor, known: list[bool] | None = None
) -> Tensor:
    """Give each region the class that most of its pixels have (CorrCLIP).

    A pixel whose best class is another exchanges the logits of the two, so
    that the logits of a pixel stay what they are but for their order.

    Args:
        logits: Logits of classes, (B, K, H, W).
        ids: Region of each pixel, -1 for none, (B, H, W).
        known: Images that vote; None for all.

    Returns:
        (B, K, H, W).
    """
    classes = logits.shape[1]
    voted = []
    for index, (own, regions) in enumerate(zip(logits, ids)):
        if known is not None and not known[index]:
            voted.append(own)
            continue
        top, label = own.max(0)
        # The pixels without a region come first, and keep their class.
        cells = (regions + 1) * classes + label
        votes = torch.zeros(int(regions.max()) + 2, classes, device=own.device)
        votes = votes.flatten().scatter_add(
            0, cells.flatten(), torch.ones_like(top.flatten().float())
        )
        winner = votes.view(-1, classes).argmax(1)[regions + 1]
        winner = torch.where(regions < 0, label, winner)[None]
        theirs = own.gather(0, winner)
        swapped = own.scatter(0, label[None], theirs)
        voted.append(swapped.scatter(0, winner, top[None]))
    return torch.stack(voted)
