"""Metric of CAMs as seeds, at a fixed background threshold."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS
from prettytable import PrettyTable

from .areas import class_ious, count_pairs, iou_table, sample_scores


def threshold_areas(
    cams: np.ndarray,
    truth: np.ndarray,
    thresholds: Sequence[float] | np.ndarray,
    ignore_index: int = 255,
) -> np.ndarray:
    """Count the areas of the seeds at each background threshold.

    A pixel belongs to its strongest class where that exceeds the threshold,
    else to the background. All thresholds cost one pass: pixels are counted
    by how many of the thresholds they exceed.

    Args:
        cams: Foreground scores, (K - 1, H, W).
        truth: Class ids with background 0, (H, W).
        thresholds: T ascending thresholds.
        ignore_index: Id of the pixels of ``truth`` that do not count.

    Returns:
        Pixels in the intersection, the prediction and the truth of each
        class, (T, 3, K).
    """
    classes = len(cams) + 1
    counted = truth != ignore_index
    strongest = cams.argmax(0)[counted] + 1
    exceeded = np.searchsorted(thresholds, cams.max(0)[counted], side='left')
    truth = truth[counted]

    def above(ids: np.ndarray, bins: np.ndarray) -> np.ndarray:
        """Count the pixels of each class above each threshold, (T, K)."""
        counts = count_pairs(ids, bins, (classes, len(thresholds) + 1))
        return counts[:, :0:-1].cumsum(1)[:, ::-1].T

    true = np.bincount(truth, minlength=classes)
    predicted = above(strongest, exceeded)
    right = strongest == truth
    intersection = above(strongest[right], exceeded[right])
    # Whatever exceeds no threshold is background.
    predicted[:, 0] = len(truth) - predicted.sum(1)
    background = truth == 0
    intersection[:, 0] = true[0] - above(
        strongest[background], exceeded[background]
    ).sum(1)
    return np.stack(
        [intersection, predicted, np.broadcast_to(true, predicted.shape)], 1
    )


@METRICS.register_module()
class CAMMetric(BaseMetric):
    """mIoU of seeds over background thresholds.

    The result is the mIoU at ``threshold``, which is fixed beforehand; the
    curve around it is logged for information. The best threshold is reported
    only on request, because pixel truth chooses it.

    Args:
        threshold: Background threshold of the seeds, in (0, 1).
        steps: Number of evenly spaced thresholds of the curve.
        pick_best: Whether to report the best threshold of the curve as well.
        ignore_index: Id of the pixels of the truth that do not count.
        activation: See :func:`activate`.
        kwargs: See ``BaseMetric``.
    """

    default_prefix = 'seed'

    def __init__(
        self,
        threshold: float,
        *,
        steps: int = 19,
        pick_best: bool = False,
        ignore_index: int = 255,
        activation: str = 'none',
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < threshold < 1:
            raise ValueError(f'threshold={threshold} must lie in (0, 1)')
        curve = np.arange(1, steps + 1) / (steps + 1)
        self.thresholds = np.unique(np.append(curve, threshold))
        self.fixed = int(np.searchsorted(self.thresholds, threshold))
        self.pick_best = pick_best
        self.ignore_index = ignore_index
        self.activation = activation

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count areas of each sample; see ``BaseMetric.process``.

        Raises:
            ValueError: A sample has no truth.
        """
        for sample in data_samples:
            if 'gt_sem_seg' not in sample:
                raise ValueError(
                    f'CAMMetric has no truth for {sample["img_path"]}'
                )
            scores = sample_scores(sample, self.activation)
            truth = sample['gt_sem_seg']['data'].squeeze(0)
            self.results.append(
                threshold_areas(
                    scores[1:].cpu().numpy(),
                    truth.cpu().numpy(),
                    self.thresholds,
                    self.ignore_index,
                )
            )

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Return the mIoU at the fixed threshold, and the best on request."""
        total = np.sum(results, axis=0)
        ious = np.stack([class_ious(areas) for areas in total])
        means = np.nanmean(ious, axis=1)
        curve = PrettyTable(['threshold', 'mIoU'])
        for index, (value, mean) in enumerate(zip(self.thresholds, means)):
            mark = ' (fixed)' if index == self.fixed else ''
            curve.add_row([f'{value:.3f}{mark}', f'{mean:.2f}'])
        logger = MMLogger.get_current_instance()
        logger.info('seeds over thresholds:\n%s', curve.get_string())
        logger.info(
            'at the fixed threshold:\n%s',
            iou_table(self.dataset_meta['classes'], IoU=ious[self.fixed]),
        )
        metrics = dict(mIoU=round(float(means[self.fixed]), 2))
        if self.pick_best:
            best = int(means.argmax())
            logger.warning(
                'the best threshold, %.3f, was picked with pixel truth',
                self.thresholds[best],
            )
            metrics.update(
                best_mIoU=round(float(means[best]), 2),
                best_threshold=float(self.thresholds[best]),
            )
        return metrics
