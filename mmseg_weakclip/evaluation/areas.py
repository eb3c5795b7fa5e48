"""Scores, areas and IoU of predictions, and tables of IoU."""

from collections.abc import Sequence

import numpy as np
from prettytable import PrettyTable
from torch import Tensor

ACTIVATIONS = ('softmax', 'none')


def activate(logits: Tensor, activation: str) -> Tensor:
    """Turn logits into scores that can be averaged over views.

    Args:
        logits: Output of a head, (..., K, H, W).
        activation: ``'softmax'`` over classes, or ``'none'`` for heads whose
            output already is a score in [0, 1], such as CAM heads.

    Returns:
        float32 scores of the same shape.

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
    """Return the scores of one predicted sample.

    Args:
        sample: Predicted sample, as a dictionary. Its averaged scores of
            several views (``RunningTTAModel``) are taken if it has any, else
            its logits are activated.
        activation: See :func:`activate`.

    Returns:
        Scores, (K, H, W).
    """
    if 'seg_scores' in sample:
        return sample['seg_scores']['data']
    return activate(sample['seg_logits']['data'], activation)


def count_pairs(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Count how often each pair of two ids occurs.

    Args:
        rows: First id of each pixel, in [0, R), (N,).
        columns: Second id of each pixel, in [0, C), (N,).
        shape: R and C, with R * C < 2 ** 31.

    Returns:
        int64, (R, C).
    """
    # Half the bytes of NumPy's default.
    pairs = rows.astype(np.int32) * shape[1] + columns.astype(np.int32)
    counts = np.bincount(pairs, minlength=shape[0] * shape[1])
    return counts.astype(np.int64, copy=False).reshape(shape)


def _count_masks(
    prediction: np.ndarray,
    truth: np.ndarray,
    num_classes: int,
    ignore_index: int,
) -> np.ndarray:
    """Count pairs of classes, and of K for all other ids, (K + 1, K + 1)."""
    counted = truth != ignore_index
    true, predicted = (
        np.minimum(ids[counted].astype(np.int32), num_classes)
        for ids in (truth, prediction)
    )
    return count_pairs(true, predicted, (num_classes + 1, num_classes + 1))


def confusion_matrix(
    prediction: np.ndarray,
    truth: np.ndarray,
    num_classes: int,
    ignore_index: int = 255,
) -> np.ndarray:
    """Count the pixels of each pair of true and predicted class.

    Args:
        prediction: Class ids, (H, W). Ids of no class, such as
            ``ignore_index``, count in the last column.
        truth: Class ids, (H, W).
        num_classes: K.
        ignore_index: Id of the pixels of ``truth`` that do not count.

    Returns:
        int64, (K, K + 1); rows are true classes.

    Raises:
        ValueError: ``truth`` has an id of no class.
    """
    counts = _count_masks(prediction, truth, num_classes, ignore_index)
    if counts[num_classes].any():
        raise ValueError(
            f'the truth has class ids beyond {num_classes - 1} that are not '
            f'{ignore_index}'
        )
    return counts[:num_classes]


def areas_of(matrix: np.ndarray) -> np.ndarray:
    """Return the areas of each class from a confusion matrix.

    Args:
        matrix: Rows are true classes, columns predicted ones; the last
            column counts predictions of no class, (K, K + 1). A further row
            counts pixels whose true id is not a class.

    Returns:
        int64, pixels in the intersection, the prediction and the truth,
        (3, K).
    """
    num_classes = matrix.shape[1] - 1
    return np.stack(
        [
            matrix[:num_classes].diagonal(),
            matrix[:, :num_classes].sum(0),
            matrix[:num_classes].sum(1),
        ]
    )


def class_areas(
    prediction: np.ndarray,
    truth: np.ndarray,
    num_classes: int,
    ignore_index: int = 255,
) -> np.ndarray:
    """Count the pixels of each class in intersection, prediction and truth.

    Args:
        prediction: Class ids, (H, W); ``ignore_index`` counts as wrong.
        truth: Class ids, (H, W); ids of no class are in no class's truth.
        num_classes: K.
        ignore_index: Id of the pixels of ``truth`` that do not count.

    Returns:
        int64, (3, K).
    """
    return areas_of(_count_masks(prediction, truth, num_classes, ignore_index))


def class_ious(areas: np.ndarray) -> np.ndarray:
    """Return the IoU of each class in percent.

    Args:
        areas: Pixels in the intersection, the prediction and the truth, see
            :func:`class_areas`, (3, K).

    Returns:
        float64, (K,); NaN for classes that are in neither mask.
    """
    intersection, predicted, true = areas.astype(np.float64)
    union = predicted + true - intersection
    with np.errstate(invalid='ignore'):
        return 100 * intersection / union


def iou_table(names: Sequence[str], **columns: np.ndarray) -> str:
    """Return a table of IoUs with a row per class and one for the mean.

    Args:
        names: Class names.
        columns: IoU of each class in percent, (K,), by title of the column.
    """
    table = PrettyTable(['class', *columns])
    for index, name in enumerate(names):
        table.add_row(
            [name, *(f'{ious[index]:.2f}' for ious in columns.values())]
        )
    table.add_row(
        ['mean', *(f'{np.nanmean(ious):.2f}' for ious in columns.values())]
    )
    return table.get_string()
