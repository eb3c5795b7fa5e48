"""Class maps on the disk, small enough to keep for a whole data set."""

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..files import write_atomically


def save_scores(
    path: str | Path, scores: Tensor, classes: np.ndarray, stride: int = 8
) -> None:
    """Write the maps of an image's own classes as a compressed npz.

    It holds ``scores``, uint8 (P, h, w), means over ``stride`` x ``stride``
    pixels times 255; ``classes``, ids (P,); and ``size``, (H, W).

    Args:
        path: File, written whole or not at all.
        scores: In [0, 1], of P foreground classes, (P, H, W).
        classes: Their ids, (P,).
        stride: Pixels to a value.

    Raises:
        ValueError: A score lies outside of [0, 1].
    """
    if scores.numel() and not 0 <= scores.min() <= scores.max() <= 1 + 1e-4:
        raise ValueError(
            f'{path}: scores from {scores.min():.3g} to {scores.max():.3g} '
            'cannot be kept as 8 bits; they must lie in [0, 1]'
        )
    size = scores.shape[1:]
    grid = [-(-side // stride) for side in size]
    if len(scores):
        scores = F.adaptive_avg_pool2d(scores[None].float(), grid)[0]
    else:
        scores = scores.new_zeros(0, *grid)
    values = (scores * 255).round().clamp(0, 255).to(torch.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        scores=values.cpu().numpy(),
        classes=np.asarray(classes, np.uint8),
        size=np.asarray(size, np.int32),
    )
    write_atomically(path, buffer.getvalue())


def load_scores(path: str | Path) -> tuple[Tensor, np.ndarray]:
    """Maps as :func:`save_scores` got them, but for rounding.

    Returns:
        Scores in [0, 1] at the image's size, (P, H, W), and ids (P,).

    Raises:
        ValueError: The file is damaged or holds something else.
    """
    try:
        with np.load(path) as file:
            scores, classes, size = (
                file[name] for name in ('scores', 'classes', 'size')
            )
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f'{path} holds no class maps: {error}; make it again, with '
            'score_stride in PseudoMaskWriter'
        ) from error
    maps = torch.from_numpy(scores).float() / 255
    if not len(maps):
        return maps.new_zeros(0, *size), classes
    maps = F.interpolate(maps[None], tuple(size.tolist()), mode='bilinear')[0]
    return maps, classes
