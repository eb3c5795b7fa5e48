"""Superpixels decide which patches give their values to others (SSR).

SSR (AAAI 2026) zeroes the columns of an affinity, those of patches that give,
outside groups of superpixels of like colour that hold enough confident pixels.
The paper leaves the number of groups and both thresholds open.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from mmseg_weakclip.common.images import read_color_image

from .region_source import RegionSource

# Share of a patch's pixels above which it belongs to the groups that are kept.
MAJORITY = 0.5


class ColorGroups(RegionSource):
    """Reads the regions of images and joins those of like colour.

    Mean colours of regions in Lab, weighed by their pixels, are clustered by
    K-means with a fixed seed.

    Args:
        folder: Folder of the files.
        missing: What an image without a file is, as in :class:`RegionSource`.
        groups: Number of groups of an image, at most; one that has fewer
            regions has as many groups.

    Raises:
        ValueError: The folder does not exist, or an argument has another
            value.
    """

    def __init__(
        self, folder: str, missing: str = 'error', groups: int = 8
    ) -> None:
        super().__init__(folder, missing)
        if groups < 1:
            raise ValueError(f'groups={groups} must be at least 1')
        self.groups = groups

    def paint(self, masks: Tensor, image_path: Path) -> Tensor:
        """Return the group of each pixel, -1 for none, int64, (H, W).

        Args:
            masks: Pixels of each region, bool, (R, H, W).
            image_path: The image.
        """
        painted = super().paint(masks, image_path)
        colors = read_color_image(str(image_path)).astype(np.float32) / 255
        lab = cv2.cvtColor(colors, cv2.COLOR_BGR2LAB)
        groups = group_by_color(painted.numpy(), lab, self.groups)
        return torch.from_numpy(groups)


def group_by_color(
    regions: np.ndarray, colors: np.ndarray, count: int
) -> np.ndarray:
    """Return the group of like-coloured regions of each pixel.

    Args:
        regions: Index of each pixel's region, -1 for none, (H, W).
        colors: Colour of each pixel, (H, W, 3).
        count: Number of groups, at most.

    Returns:
        Groups from 0, -1 where there is no region, int64, (H, W).
    """
    from sklearn.cluster import KMeans

    covered = regions >= 0
    found, index = np.unique(regions[covered], return_inverse=True)
    groups = np.full(regions.shape, -1, np.int64)
    if not len(found):
        return groups
    areas = np.bincount(index)
    means = np.stack(
        [
            np.bincount(index, channel) / areas
            for channel in colors[covered].T.astype(np.float64)
        ],
        1,
    )
    count = min(count, len(np.unique(means, axis=0)))
    clusters = KMeans(count, n_init=1, random_state=0).fit_predict(
        means, sample_weight=areas
    )
    groups[covered] = clusters[index]
    return groups


def superpixel_mask(
    cams: Tensor,
    groups: Tensor,
    confidence: float = 0.5,
    share: float = 0.3,
) -> Tensor:
    """Return the patches inside groups that hold enough confident pixels.

    A group counts for a class if at least ``share`` of its pixels lie in
    patches whose CAM is ``confidence`` or more; a patch counts if most of its
    pixels are in such groups. A class without any such group, and an image
    that is one group, keep all patches.

    Args:
        cams: CAMs in [0, 1], (B, K, h, w).
        groups: Group of each pixel, -1 for none, (B, H, W); H and W are
            multiples of h and w.
        confidence: CAM of a confident pixel, in [0, 1].
        share: Share of confident pixels, in [0, 1].

    Returns:
        bool, (B, K, h, w), for the columns of an affinity.

    Raises:
        ValueError: The sizes do not match, or a threshold is not in [0, 1].
    """
    for name, value in (('confidence', confidence), ('share', share)):
        if not 0 <= value <= 1:
            raise ValueError(f'{name}={value} must be in [0, 1]')
    shares = _shares_of_patches(groups, (cams.shape[2], cams.shape[3]))
    sure = (cams >= confidence).flatten(2).double()  # (B, K, N)
    inside = torch.einsum('bkn,bng->bkg', sure, shares)
    total = shares.sum(1)[:, None]
    kept = (inside >= share * total) & (total > 0)
    mask = torch.einsum('bkg,bng->bkn', kept.double(), shares) > MAJORITY
    mask |= ~mask.any(2, keepdim=True)
    return mask.view_as(cams)


def _shares_of_patches(groups: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the share of each group in each patch, float64, (B, N, G)."""
    batch, height, width = groups.shape
    if height % grid[0] or width % grid[1]:
        raise ValueError(
            f'images of {height} x {width} pixels do not divide into '
            f'{grid[0]} x {grid[1]} patches'
        )
    high, wide = height // grid[0], width // grid[1]
    count = int(groups.max()) + 2  # The last one is of pixels without a group.
    cells = groups.view(batch, grid[0], high, grid[1], wide)
    cells = cells.transpose(2, 3).reshape(batch, -1, high * wide)
    ids = cells.where(cells >= 0, count - 1)
    shares = torch.zeros(
        (*ids.shape[:2], count), dtype=torch.float64, device=groups.device
    )
    shares.scatter_add_(
        2, ids, torch.full_like(ids, 1, dtype=torch.float64) / (high * wide)
    )
    return shares[..., :-1]
