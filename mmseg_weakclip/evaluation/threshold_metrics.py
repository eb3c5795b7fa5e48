"""Metrics to choose a background threshold by: pixel truth or image labels.

``set_precision_recall`` compares sets of any kind, such as classes or texts.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from .iou import PartialIoUMetric

BACKGROUND = 0


class PrecisionRecall(NamedTuple):
    """Precision and recall of sets, in [0, 1].

    Attributes:
        precision: Share of the found items that are true; NaN if nothing was
            found.
        recall: Share of the true items that were found; NaN if nothing is
            true.
    """

    precision: float
    recall: float


def set_precision_recall(
    found: Mapping[Hashable, Collection[Hashable]],
    truth: Mapping[Hashable, Collection[Hashable]],
) -> PrecisionRecall:
    """Compare the sets of all keys (micro average).

    Args:
        found: Items found for each key, such as texts of an (image, class)
            pair; each item counts once.
        truth: True items of each key. Those of keys that were not found count
            as missed.

    Raises:
        ValueError: The truth of a found key is unknown.
    """
    unknown = [key for key in found if key not in truth]
    if unknown:
        raise ValueError(
            f'the truth lacks {len(unknown)} of {len(found)} keys, the first '
            f'is {unknown[0]!r}'
        )
    hits = sum(len(set(t) & set(truth[key])) for key, t in found.items())
    taken = sum(len(set(texts)) for texts in found.values())
    wanted = sum(len(set(texts)) for texts in truth.values())
    return PrecisionRecall(
        hits / taken if taken else float('nan'),
        hits / wanted if wanted else float('nan'),
    )


@METRICS.register_module()
class BackgroundIoU(PartialIoUMetric):
    """mIoU, IoU of the background and mIoU of the foreground, in percent.

    Values are those of ``IoUMetric``, without its table in the log. The
    number of images with truth is reported too.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics; see ``BaseMetric.compute_metrics``."""
        scored = [result for result in results if result is not None]
        if not scored:
            return dict(images=0)
        areas = [sum(part) for part in zip(*scored)]
        found = self.total_area_to_metrics(*areas, ['mIoU'], self.nan_to_num)
        ious = 100 * found['IoU'].astype(np.float64)
        return dict(
            mIoU=float(np.nanmean(ious)),
            background_IoU=float(ious[BACKGROUND]),
            foreground_mIoU=float(np.nanmean(np.delete(ious, BACKGROUND))),
            images=len(scored),
        )


@METRICS.register_module()
class LabelAgreement(BaseMetric):
    """Agreement of the classes in masks with image labels, without truth.

    A class is in a mask if one pixel has it. Images with ``image_labels``
    give precision and recall of the classes over all images, and their
    harmonic mean ``f1``, in percent. All images give ``background``, the
    percentage of pixels of class 0, and ``classes``, the mean number of other
    classes in an image.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count classes and pixels; see ``BaseMetric.process``.

        Raises:
            ValueError: A sample has pixel truth.
        """
        for sample in data_samples:
            if 'gt_sem_seg' in sample:
                raise ValueError(
                    f'{sample.get("img_path")} comes with its true mask, '
                    'which is not to be read here: take the transform that '
                    'loads it out of the test pipeline'
                )
            mask = sample['pred_sem_seg']['data']
            classes = set(mask.unique().tolist()) - {BACKGROUND}
            labels = sample.get('image_labels')
            self.results.append(
                (
                    int((mask == BACKGROUND).sum()),
                    mask.numel(),
                    classes,
                    None if labels is None else set(labels),
                )
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics; see ``BaseMetric.compute_metrics``."""
        background, pixels, found, labels = zip(*results)
        metrics = dict(
            background=100 * sum(background) / sum(pixels),
            classes=sum(map(len, found)) / len(found),
            images=sum(known is not None for known in labels),
        )
        if not metrics['images']:
            return metrics
        truth = {i: k for i, k in enumerate(labels) if k is not None}
        precision, recall = set_precision_recall(
            {i: found[i] for i in truth}, truth
        )
        hits = precision + recall
        return dict(
            metrics,
            precision=100 * precision,
            recall=100 * recall,
            # Not NaN, which would be the best of a sweep.
            f1=200 * precision * recall / hits if hits > 0 else 0.0,
        )
