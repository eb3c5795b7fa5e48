"""What a background threshold is judged by: pixel truth, or image labels."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from .iou import PartialIoUMetric

BACKGROUND = 0


@METRICS.register_module()
class BackgroundIoU(PartialIoUMetric):
    """mIoU, and what of it is background and what foreground, in percent.

    The same as ``IoUMetric`` says, without its table in the log. Also the
    number of images that have truth.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """See ``BaseMetric.compute_metrics``."""
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
    """What masks say without pixel truth, beside the labels of their images.

    A class is in a mask if one pixel has it. Of the images that have
    ``image_labels``: precision and recall of the classes, all images taken
    together, and their harmonic mean ``f1``, in percent. Of all images:
    ``background``, the percentage of pixels that are class 0, and
    ``classes``, the mean number of others in an image.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """See ``BaseMetric.process``; a result for each sample.

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
        """See ``BaseMetric.compute_metrics``."""
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
            # 0 / 0 of a sweep that finds nothing is no best.
            f1=200 * precision * recall / hits if hits > 0 else 0.0,
        )


class PrecisionRecall(NamedTuple):
    """Shares of texts, in [0, 1]; NaN where there are none to share.

    Attributes:
        precision: Of the found texts, those that are true.
        recall: Of the true texts, those that were found.
    """

    precision: float
    recall: float


def set_precision_recall(
    found: Mapping[Hashable, Collection[Hashable]],
    truth: Mapping[Hashable, Collection[Hashable]],
) -> PrecisionRecall:
    """Compare texts over all keys, each text counting once (micro average).

    Args:
        found: Texts of each key, such as an (image, class) pair.
        truth: True texts of each key. Those of keys that were not found are
            missed.

    Raises:
        ValueError: A key was found of which the truth is not known.
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
