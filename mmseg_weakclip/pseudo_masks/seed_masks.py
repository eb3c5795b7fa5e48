"""Refine masks of hard labels, some pixels of which are left open.

Masks that another tool made have a class per pixel, but no scores. A dense CRF
needs scores: each labelled pixel gets a fixed confidence for its label, as in
IRN (Ahn et al., CVPR 2019), which refines its labels with a confidence of 0.7,
and each open pixel gets equal scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_weakclip.common.masks import ids_of_mask, read_mask

from .refiner import Refiner, RefineTask


def label_scores(
    mask: np.ndarray,
    classes: Sequence[int],
    confidence: float,
    ignore_index: int = 255,
) -> np.ndarray:
    """Return scores of the labels of a mask.

    Args:
        mask: Class ids, all in ``classes`` or ``ignore_index``, (H, W).
        classes: Ids of the n classes that the image may show, n >= 2.
        confidence: Score of a pixel's own label; the others share the rest.
        ignore_index: Id of open pixels, whose n scores are equal.

    Returns:
        Scores that sum to one over the classes, float32, (n, H, W).

    Raises:
        ValueError: The mask has other ids, or the confidence is no higher
            than that of a guess.
    """
    count = len(classes)
    if not 1 / count < confidence <= 1:
        raise ValueError(
            f'confidence={confidence} of a label must exceed 1/{count}, that '
            f'of a guess among {count} classes, and be at most 1'
        )
    other = sorted({*ids_of_mask(mask).tolist()} - {*classes, ignore_index})
    if other:
        raise ValueError(
            f'the mask has ids {other}, its image the classes {list(classes)}'
        )
    own = mask == np.asarray(classes)[:, None, None]
    rest = (1 - confidence) / (count - 1)
    scores = np.where(own, confidence, rest).astype(np.float32)
    scores[:, mask == ignore_index] = 1 / count
    return scores


def may_fill(
    mask: np.ndarray, classes: Sequence[int], ignore_index: int = 255
) -> bool:
    """Return whether the open pixels of a mask may get a class.

    Neighbours decide on open pixels, so they can only get a class that some
    labelled pixel has. Where a class of the image has none, the open pixels
    may well be its own, and stay open.

    Args:
        mask: Class ids, (H, W).
        classes: Ids of the classes that the image shows, background included.
        ignore_index: Id of open pixels.
    """
    return {*classes} <= {*ids_of_mask(mask).tolist()} - {ignore_index}


@dataclass
class SeedMaskRefiner:
    """Refine the hard labels of an image and write its mask.

    A labelled pixel keeps a label, its own or that of its surroundings. An
    open pixel gets a label where :func:`may_fill` allows it and the refined
    scores reach ``min_score`` of the refiner; else it stays open.

    It can be sent to another process.

    Attributes:
        refiner: Refiner of the scores.
        confidence: See :func:`label_scores`.
        palette: RGB triple of each of the K classes.
        num_classes: K.
        folder: Folder of the ``MaskStore`` of the new masks.
    """

    refiner: Refiner
    confidence: float
    palette: list
    num_classes: int
    folder: str

    def __call__(
        self, image_path: str, mask_path: str | Path, classes: Sequence[int]
    ) -> dict[str, Any]:
        """Refine and write one image.

        Args:
            image_path: File of the image.
            mask_path: File of its labels.
            classes: Ids of its classes, background first.

        Returns:
            Record of the image; see :class:`Refiner`.

        Raises:
            ValueError: The mask is damaged, has ids of other classes, or has
                not the size of the image.
        """
        ignored = self.refiner.ignore_index
        mask = read_mask(str(mask_path))
        try:
            scores = label_scores(mask, classes, self.confidence, ignored)
        except ValueError as error:
            raise ValueError(f'{mask_path}: {error}') from error
        fills = may_fill(mask, classes, ignored)
        least = self.refiner.min_score if fills else np.inf
        task = RefineTask(
            image_path=image_path,
            scores=scores,
            classes=np.asarray(classes, int),
            truth=None,
            palette=self.palette,
            num_classes=self.num_classes,
            folder=self.folder,
            least_scores=np.where(mask == ignored, least, 0.0),
        )
        return self.refiner(task)
