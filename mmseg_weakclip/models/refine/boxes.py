"""Boxes around the strong activations of a class (CLIP-ES, CVPR 2023)."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Steps of growing boxes on a device between looks at whether they still grow.
STEPS_BETWEEN_LOOKS = 16


def box_mask(
    cam: Tensor,
    threshold: float,
    backend: str = 'auto',
    *,
    published: bool = False,
) -> Tensor:
    """Return the union of the boxes of strongly activated components.

    Components are the 8-connected sets of pixels above ``threshold`` times
    the maximum of their map. The published code reads maps in 8 bits, so that
    a share t becomes ``(int(255 t) + 1) / 255`` (.79 becomes .7922), and
    leaves the last row and column of the map out of every box.

    Args:
        cam: Maps, shape (K, h, w) or (B, K, h, w).
        threshold: Share of the maximum, in [0, 1). CLIP-ES has 0.4 for VOC
            and 0.7 for COCO.
        backend: ``'cv2'`` runs on the CPU, ``'torch'`` on the device of
            ``cam``, which is waited for every 16 steps; both give the same.
            ``'auto'`` takes OpenCV for maps on the CPU.
        published: Whether maps, in [0, 1], are read in 8 bits, and boxes lack
            the last row and column of the map.

    Returns:
        bool, shape of ``cam``; all False for a map without a positive value.

    Raises:
        ValueError: The shape, the threshold or the backend is not allowed.
    """
    if cam.ndim not in (3, 4):
        raise ValueError(
            f'cam must be (K, h, w) or (B, K, h, w), got {tuple(cam.shape)}'
        )
    if not 0 <= threshold < 1:
        raise ValueError(f'threshold must be in [0, 1), got {threshold}')
    if backend == 'auto':
        backend = 'cv2' if cam.device.type == 'cpu' else 'torch'
    if backend not in ('cv2', 'torch'):
        raise ValueError(
            f"backend must be 'auto', 'cv2' or 'torch', got {backend!r}"
        )
    if published:
        cam = (255 * cam).clamp(0, 255).floor()
    top = cam.amax((-2, -1), keepdim=True)
    limit = (threshold * top).floor() if published else threshold * top
    active = (cam > limit) & (top > 0)
    union = _boxes_by_cv2 if backend == 'cv2' else _boxes_by_torch
    boxes = union(active.flatten(0, -3)).view_as(cam)
    if published:
        boxes[..., -1, :] = False
        boxes[..., -1] = False
    return boxes


def _boxes_by_cv2(active: Tensor) -> Tensor:
    masks = np.zeros(active.shape, dtype=bool)
    for mask, pixels in zip(masks, active.cpu().numpy()):
        _, _, stats, _ = cv2.connectedComponentsWithStats(
            pixels.astype(np.uint8), connectivity=8
        )
        # The first component is the background.
        for left, top, width, height, _ in stats[1:]:
            mask[top : top + height, left : left + width] = True
    return torch.from_numpy(masks).to(active.device)


def _boxes_by_torch(active: Tensor) -> Tensor:
    """Propagate each component's box to its pixels, then paint all boxes."""
    height, width = active.shape[1:]
    y, x = torch.meshgrid(
        torch.arange(height, device=active.device),
        torch.arange(width, device=active.device),
        indexing='ij',
    )
    outside = ~active[:, None]
    box = torch.stack([-y, y, -x, x]).to(torch.float32)
    box = box.expand(len(active), -1, -1, -1)
    box = box.masked_fill(outside, -torch.inf)
    # A shortest path inside a component has at most two pixels in any 2 x 2
    # block (three would make a short cut), so this many steps reach all.
    steps = 2 * (-(-height // 2)) * (-(-width // 2)) - 1
    # Other devices are waited for to look, so they take some steps between.
    stride = 1 if box.device.type == 'cpu' else STEPS_BETWEEN_LOOKS
    for step in range(steps):
        grown = F.max_pool2d(box, 3, stride=1, padding=1)
        grown = grown.masked_fill(outside, -torch.inf)
        if step % stride == stride - 1 and torch.equal(grown, box):
            break
        box = grown
    box = box.masked_fill(outside, 0).long()
    first_y, last_y, first_x, last_x = box.flatten(2).unbind(1)
    first_y, first_x = -first_y, -first_x
    # Painted as second differences: +1 and -1 at the corners, then sums.
    paint = active.flatten(1).long()
    corners = paint.new_zeros(len(active), (height + 1) * (width + 1))
    for rows, columns, sign in (
        (first_y, first_x, 1),
        (first_y, last_x + 1, -1),
        (last_y + 1, first_x, -1),
        (last_y + 1, last_x + 1, 1),
    ):
        corners.scatter_add_(1, rows * (width + 1) + columns, sign * paint)
    count = corners.view(-1, height + 1, width + 1).cumsum(1).cumsum(2)
    return count[:, :-1, :-1] > 0
