"""Masks from class maps that were kept, without the model that made them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..models.refine import background_score
from .refiner import Job, Refiner
from .score_files import load_scores


@dataclass
class KeptScoresRefiner:
    """Turns one image's kept maps into a mask; can be sent to a process.

    Attributes:
        refiner: What is done with the scores.
        background: Arguments of ``background_score``.
        palette: Colours of all classes.
        num_classes: K.
        folder: Of the ``MaskStore`` of the new masks.
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
            scores: File of its class maps.

        Returns:
            Its record; see :class:`Refiner`.
        """
        maps, classes = load_scores(scores)
        # A map of nothing, for images without classes.
        nothing = maps.new_zeros(1, *maps.shape[1:])
        background = background_score(
            torch.cat([nothing, maps])[None], **self.background
        )
        return self.refiner(
            Job(
                image_path=image_path,
                scores=torch.cat([background[0], maps]),
                classes=np.append(0, classes).astype(int),
                truth=None,
                palette=self.palette,
                num_classes=self.num_classes,
                folder=self.folder,
            )
        )
