"""Classes that a mask has lost, from an earlier mask of the image.

The tags say that a class is there. Where a network does not find it, a mask
that calls its pixels background would teach just that to the next network.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmseg_weakclip.common.masks import read_mask


def keep_lost_classes(
    mask: np.ndarray, classes: Sequence[int], earlier: Path
) -> tuple[np.ndarray, list[int]]:
    """Give each class without a pixel those of an earlier mask.

    Args:
        mask: Class ids, (H, W).
        classes: Classes of the image, the background (0) among them or not.
        earlier: File of the earlier mask.

    Returns:
        The mask with those of its lost classes that the earlier one has, and
        their ids.

    Raises:
        ValueError: The earlier mask is missing or has another size.
    """
    lost = [k for k in classes if k and not (mask == k).any()]
    if not lost:
        return mask, []
    if not earlier.is_file():
        raise ValueError(
            f'{earlier} does not exist, from which the mask of '
            f'{earlier.stem} should take the classes that it has lost: make '
            'the earlier masks anew, or leave keep_lost out'
        )
    before = read_mask(str(earlier))
    if before.shape != mask.shape:
        raise ValueError(
            f'{earlier} has {before.shape} pixels, the new mask of '
            f'{earlier.stem} has {mask.shape}'
        )
    kept = [k for k in lost if (before == k).any()]
    filled = np.where(np.isin(before, kept), before, mask)
    # What is taken is not all that another class of the image has.
    for k in classes:
        if k and not (filled == k).any():
            filled[mask == k] = k
    return filled, [k for k in kept if (filled == k).any()]
