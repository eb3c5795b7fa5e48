"""mmseg's mIoU for data of which only some, or nothing, has truth."""

from collections.abc import Sequence

from mmengine.logging import MMLogger
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS


@METRICS.register_module()
class IoUWhereTruth(IoUMetric):
    """``IoUMetric`` over the samples that have a true mask.

    Others pass: weakly labelled data need not have any truth at all. The
    log says how many were scored.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """See ``BaseMetric.process``; a result for each sample."""
        for sample in data_samples:
            if 'gt_sem_seg' in sample:
                super().process(data_batch, [sample])
            else:
                # Ranks are merged sample by sample: keep the places.
                self.results.append(None)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """See ``BaseMetric.compute_metrics``; empty without any truth."""
        scored = [result for result in results if result is not None]
        MMLogger.get_current_instance().info(
            '%d of %d images have truth', len(scored), len(results)
        )
        return super().compute_metrics(scored) if scored else {}
