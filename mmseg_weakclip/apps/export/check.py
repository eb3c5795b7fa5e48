"""Comparison of an exported file with PyTorch, on several image sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from mmengine.config import ConfigDict
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor

from .formats import Predict

# Size of the traced batch: its sides differ from each other and from CLIP's
# square grids, so that no resizing is skipped because sizes happen to fit.
TRACED = (2, 160, 224)
# Number of images, height and width: another number of images, sides that
# no stride divides, wide and high.
SIZES = (TRACED, (1, 128, 128), (3, 131, 97), (1, 197, 290))
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Difference:
    """Difference between the outputs of a file and of PyTorch for a batch.

    Attributes:
        size: Number of images, height and width.
        difference: Largest absolute difference; for masks, by how much the
            logit of the class chosen is below the best. Infinite if the file
            cannot be run or its output has another shape.
        problem: Why the difference is infinite; '' otherwise.
    """

    size: tuple[int, int, int]
    difference: float
    problem: str = ''

    @property
    def passes(self) -> bool:
        """Whether the file may be written."""
        # Written so that NaN fails.
        return self.difference <= TOLERANCE


def random_images(size: tuple[int, int, int]) -> Tensor:
    """Return fixed random images, float32, 0..255, (B, 3, H, W)."""
    batch, height, width = size
    generator = torch.Generator().manual_seed(0)
    shape = batch, 3, height, width
    return torch.randint(256, shape, generator=generator).float()


def reference_logits(
    model: BaseSegmentor, images: Tensor, *, takes_rgb: bool = False
) -> Tensor:
    """Return mmseg's own prediction for whole images.

    Args:
        model: Segmentor, not the copy that is exported.
        images: RGB images, 0..255, (B, 3, H, W).
        takes_rgb: Whether the preprocessor takes RGB images.

    Returns:
        Logits, (B, K, H, W).

    Raises:
        ValueError: The head needs more than images.
    """
    inputs = images if takes_rgb else images.flip(1)
    height, width = images.shape[2:]
    samples = [
        SegDataSample(
            metainfo=dict(ori_shape=(height, width), img_shape=(height, width))
        )
        for _ in images
    ]
    test_cfg, model.test_cfg = model.test_cfg, ConfigDict(mode='whole')
    try:
        with torch.no_grad():
            data = model.data_preprocessor(
                dict(inputs=list(inputs), data_samples=samples)
            )
            metas = [sample.metainfo for sample in data['data_samples']]
            logits = model.inference(data['inputs'], metas)
    finally:
        model.test_cfg = test_cfg
    # Padding is on the right and below.
    return logits[:, :, :height, :width]


def largest_difference(
    found: Tensor, logits: Tensor, output: str, threshold: float | None = None
) -> float:
    """Return the largest difference between a prediction and PyTorch's.

    Args:
        found: Logits or probabilities, (B, K, H, W), or a mask, (B, H, W).
        logits: Logits of PyTorch, (B, K, H, W).
        output: Kind of the prediction: ``'logits'``, ``'probabilities'`` or
            ``'mask'``.
        threshold: Probability threshold of a model with one channel.

    Returns:
        Largest absolute difference; for masks, by how much the logit of the
        class chosen is below the best.
    """
    if output == 'logits':
        return float((found - logits).abs().max())
    is_binary = logits.shape[1] == 1
    if output == 'probabilities':
        expected = logits.sigmoid() if is_binary else logits.softmax(1)
        return float((found - expected).abs().max())
    chosen = found.long()[:, None]
    if is_binary:
        if threshold is None:
            raise ValueError('a mask of one channel needs a threshold')
        distance = logits.sigmoid() - threshold
        wrong = (distance > 0) != (chosen > 0)
        return float((distance.abs() * wrong).max())
    return float(
        (logits.amax(1, keepdim=True) - logits.gather(1, chosen)).max()
    )


def compare(
    predict: Predict,
    model: BaseSegmentor,
    batches: Sequence[Tensor],
    output: str,
    threshold: float | None = None,
    *,
    takes_rgb: bool = False,
) -> Iterator[Difference]:
    """Run a file and PyTorch on the same images.

    Args:
        predict: Function that runs the file.
        model: Segmentor that was exported.
        batches: RGB images, float32, 0..255, each (B, 3, H, W).
        output: Output of the file: ``'logits'``, ``'probabilities'`` or
            ``'mask'``.
        threshold: Probability threshold of a model with one channel.
        takes_rgb: Whether the preprocessor takes RGB images.

    Yields:
        The difference for each batch.
    """
    for images in batches:
        size = images.shape[0], *images.shape[2:]
        logits = reference_logits(model, images, takes_rgb=takes_rgb)
        try:
            found = predict(images)
        except Exception as error:  # each runtime has its own
            line = str(error).strip().splitlines()[-1]
            yield Difference(size, float('inf'), f'it cannot be run: {line}')
            continue
        expected = tuple(logits.shape)
        if output == 'mask':
            expected = (expected[0], *expected[2:])
        if found.shape != expected:
            yield Difference(
                size,
                float('inf'),
                f'its output is {tuple(found.shape)}, not {tuple(expected)}',
            )
            continue
        yield Difference(
            size, largest_difference(found, logits, output, threshold)
        )
