"""Refine the CAMs of an image that an earlier run stored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmseg_weakclip.models.refine.cam import background_score

from .refiner import Refiner, RefineTask
from .store import load_scores


@dataclass
class StoredCAMRefiner:
    """Refine the stored CAMs of an image and write its mask.

    It can be sent to another process.

    Attributes:
        refiner: Refiner of the scores.
        background: Arguments of ``background_score``.
        palette: RGB triple of each of the K classes.
        num_classes: K.
        folder: Folder of the :class:`MaskStore` of the new masks.
    """

    refiner: Refiner
    background: dict[str, float | None]
    palette: list
    num_classes: int
    folder: str

    def __call__(self, image_path: str, scores: str | Path) -> dict[str, Any]:
        """Refine and write one image.

        Args:
            image_path: File of the image.
            scores: File of its CAMs, see ``save_scores``.

        Returns:
            Record of the image; see :class:`Refiner`.

        Raises:
            ValueError: The file of CAMs is damaged, or the CAMs do not have
                the size of the image.
        """
        maps, classes = load_scores(scores)
        # Images without classes have at least this map.
        zeros = maps.new_zeros(1, *maps.shape[1:])
        background = background_score(
            torch.cat([zeros, maps])[None], **self.background
        )
        return self.refiner(
            RefineTask(
                image_path=image_path,
                scores=torch.cat([background[0], maps]),
                classes=np.append(0, classes).astype(int),
                truth=None,
                palette=self.palette,
                num_classes=self.num_classes,
                folder=self.folder,
            )
        )
