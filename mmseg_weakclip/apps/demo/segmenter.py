"""A model with its test pipeline, ready for any image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel

from mmseg_weakclip.common.masks import PALETTE_SIZE, encode_mask
from mmseg_weakclip.common.names import BACKGROUND
from mmseg_weakclip.engine.precision import half_precision
from mmseg_weakclip.models.samples import MissingLabelsError

# Id of pixels without a class, which are left unpainted.
NOTHING = 255


@dataclass(frozen=True)
class Segmenter:
    """A model, its test pipeline, and the names and colours of its classes.

    Attributes:
        model: Segmentor of mmseg, in evaluation mode on its device.
        pipeline: Transforms from a decoded image (``img``, ``img_path``,
            ``img_shape``, ``ori_shape``) to packed inputs.
        classes: Class names by id. A class ``background`` is left
            unpainted.
        palette: RGB triples (0..255), one for each class.
        to_float32: Whether the pipeline begins with float images.
        amp_dtype: Type that the network runs in; None for float32.
    """

    model: BaseModel
    pipeline: Compose
    classes: tuple[str, ...]
    palette: list[list[int]]
    to_float32: bool = False
    amp_dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        if len(self.classes) >= PALETTE_SIZE:
            raise ValueError(
                f'{len(self.classes)} classes are too many: a mask has '
                f'{PALETTE_SIZE - 1} ids for them'
            )

    def predict(
        self, images: Sequence[np.ndarray], paths: Sequence[str]
    ) -> list[np.ndarray]:
        """Segment images of one size in one batch.

        Args:
            images: BGR images, uint8, (H, W, 3).
            paths: File of each image, for messages.

        Returns:
            Class ids of each, (H, W), uint8.

        Raises:
            ValueError: The model needs image labels, or does not segment.
        """
        batch = pseudo_collate(
            [self._prepare(*pair) for pair in zip(images, paths)]
        )
        try:
            with (
                torch.no_grad(),
                half_precision(self.model, self.amp_dtype),
            ):
                samples = self.model.test_step(batch)
        except MissingLabelsError as error:
            raise ValueError(
                f'{type(self.model.decode_head).__name__} needs image '
                'labels at test time, which the demo does not have: run '
                'it with tools/test.py on a data set with image labels, or '
                'take a segmenter that was trained on its masks'
            ) from error
        if 'pred_sem_seg' not in samples[0]:
            raise ValueError(
                f'{type(self.model).__name__} predicts no classes'
            )
        return [
            sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
            for sample in samples
        ]

    def _prepare(self, image: np.ndarray, path: str) -> dict:
        size = image.shape[:2]
        if self.to_float32:
            image = image.astype(np.float32)
        return self.pipeline(
            dict(img=image, img_path=path, img_shape=size, ori_shape=size)
        )

    def visible(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask with 255 in place of the background, if any."""
        table = np.arange(256, dtype=np.uint8)
        for class_id, name in enumerate(self.classes):
            if name == BACKGROUND:
                table[class_id] = NOTHING
        return table[mask]

    def encode(self, mask: np.ndarray) -> bytes:
        """Encode a mask as the bytes of a palette PNG."""
        return encode_mask(mask, self.palette)
