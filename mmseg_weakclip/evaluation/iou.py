"""mmseg's mIoU for data sets in which only some images have truth."""

from collections.abc import Sequence

from mmengine.logging import MMLogger
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS


# The second name is that of earlier releases.
@METRICS.register_module(name=['PartialIoUMetric', 'IoUWhereTruth'])
class PartialIoUMetric(IoUMetric):
    """``IoUMetric`` over the samples that have a true mask.

    Samples without a mask are passed over: weakly labelled data need not
    have any truth at all. The log says how many samples were scored.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count areas; see ``BaseMetric.process``. One result per sample."""
        for sample in data_samples:
            if 'gt_sem_seg' in sample:
                super().process(data_batch, [sample])
            else:
                # Ranks are merged sample by sample: keep the places.
                self.results.append(None)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Score the samples with truth; return nothing if there are none.

        See ``BaseMetric.compute_metrics``.
        """
        scored = [result for result in results if result is not None]
        MMLogger.get_current_instance().info(
            '%d of %d images have truth', len(scored), len(results)
        )
        return super().compute_metrics(scored) if scored else {}


IoUWhereTruth = PartialIoUMetric
