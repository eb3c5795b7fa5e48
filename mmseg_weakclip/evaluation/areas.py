"""From a model's predictions to probabilities, areas and IoU tables."""

from collections.abc import Sequence

import numpy as np
import torch
from prettytable import PrettyTable
from torch import Tensor

ACTIVATIONS = ('softmax', 'none')


def activate(logits: Tensor, activation: str) -> Tensor:
    """Logits (..., K, H, W) to scores that can be averaged over views.

    Args:
        activation: ``'softmax'`` over classes, or ``'none'`` for heads whose
            output already is a score in [0, 1], such as CAM heads.

    Raises:
        ValueError: There is no such activation.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(
            f'activation={activation!r} must be one of {ACTIVATIONS}'
        )
    logits = logits.float()
    return logits.softmax(-3) if activation == 'softmax' else logits


def sample_scores(sample: dict, activation: str) -> Tensor:
    """Scores (K, H, W) of one predicted sample.

    Averaged scores of several views (``RunningTTAModel``) come first; the
    logits of a single view are activated.
    """
    if 'seg_scores' in sample:
        return sample['seg_scores']['data']
    return activate(sample['seg_logits']['data'], activation)


def restrict_to_labels(scores: Tensor, labels: Sequence[int]) -> Tensor:
    """Zero the classes that an image does not have; background stays.

    Args:
        scores: (K, H, W).
        labels: Ids of its foreground classes.

    Returns:
        (K, H, W), a new tensor; not normalised again.
    """
    keep = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    keep[[0, *labels]] = True
    return scores * keep[:, None, None]


def class_areas(
    prediction: np.ndarray,
    truth: np.ndarray,
    num_classes: int,
    ignore_index: int = 255,
) -> np.ndarray:
    """Pixels of each class in the intersection, prediction and truth.

    Args:
        prediction: Class ids, (H, W); ``ignore_index`` counts as wrong.
        truth: Class ids, (H, W); its ignored pixels don't count.

    Returns:
        int64, (3, K).
    """
    counted = truth != ignore_index
    prediction, truth = prediction[counted], truth[counted]
    return np.stack(
        [
            np.bincount(ids, minlength=num_classes)[:num_classes]
            for ids in (
                prediction[prediction == truth],
                prediction[prediction < num_classes],
                truth,
            )
        ]
    ).astype(np.int64)


def class_ious(areas: np.ndarray) -> np.ndarray:
    """IoU of each class in percent; NaN where it is in neither.

    Args:
        areas: See :func:`class_areas`, (3, K).
    """
    intersection, predicted, true = areas.astype(np.float64)
    union = predicted + true - intersection
    with np.errstate(invalid='ignore'):
        return 100 * intersection / union


def iou_table(names: Sequence[str], **columns: np.ndarray) -> str:
    """A table of IoUs, a row for each class and one for their mean."""
    table = PrettyTable(['class', *columns])
    for index, name in enumerate(names):
        table.add_row(
            [name, *(f'{ious[index]:.2f}' for ious in columns.values())]
        )
    table.add_row(
        ['mean', *(f'{np.nanmean(ious):.2f}' for ious in columns.values())]
    )
    return table.get_string()
