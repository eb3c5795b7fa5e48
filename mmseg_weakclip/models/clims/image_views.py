"""Views of images for CLIP."""

from collections.abc import Sequence

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor


def five_crops(share: float | None = 0.6) -> tuple[tuple[float, ...], ...]:
    """The whole image, its four corners and its centre.

    Args:
        share: Width and height of a crop, as a share of the image's; None
            for the whole image alone.

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
    """Parts of an image as CLIP takes them.

    Each is resized to the tower's input without keeping its aspect: CLIP's
    own centre crop would lose the margins, where the background is.

    Args:
        image: RGB, 0..255, (3, H, W).
        boxes: V parts, (left, top, right, bottom) in [0, 1].
        size: Height and width (S, T) of CLIP's input.

    Returns:
        Normalised by CLIP's mean and standard deviation, float32,
        (V, 3, S, T).
    """
    height, width = image.shape[1:]
    views = []
    for left, top, right, bottom in boxes:
        x, y = round(left * width), round(top * height)
        # A part of a tiny image still has a pixel.
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
