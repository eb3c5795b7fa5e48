"""A test loop that scores several background thresholds at once."""

import copy
from collections.abc import Sequence

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner, TestLoop
from mmengine.runner.amp import autocast
from mmseg.registry import LOOPS
from torch.utils.data import DataLoader

from ..evaluation import predict_at_thresholds


@LOOPS.register_module()
class ThresholdSweepLoop(TestLoop):
    """Test each threshold of the decode head, in one pass over the data.

    The network runs once for each image; see :func:`predict_at_thresholds`.
    Each threshold has an evaluator of its own, a copy of the test evaluator.

    Args:
        runner: The runner.
        dataloader: See ``TestLoop``.
        evaluator: See ``TestLoop``.
        thresholds: In [0, 1], at least one.
        fp16: See ``TestLoop``.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        evaluator: Evaluator | dict | list,
        thresholds: Sequence[float],
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self.evaluators = {
            threshold: copy.deepcopy(self.evaluator)
            for threshold in thresholds
        }

    def run(self) -> dict[float, dict[str, float]]:
        """Sweep; the metrics of each threshold.

        Raises:
            ValueError: The head has no threshold.
        """
        self.runner.call_hook('before_test')
        self.runner.call_hook('before_test_epoch')
        self.runner.model.eval()
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        size = len(self.dataloader.dataset)
        scores = {
            threshold: evaluator.evaluate(size)
            for threshold, evaluator in self.evaluators.items()
        }
        # Hooks know names and numbers.
        metrics = {
            f'{name}@{threshold:g}': value
            for threshold, own in scores.items()
            for name, value in own.items()
        }
        self.runner.call_hook('after_test_epoch', metrics=metrics)
        self.runner.call_hook('after_test')
        return scores

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict) -> None:
        """Predict and score a batch at all thresholds."""
        self.runner.call_hook(
            'before_test_iter', batch_idx=idx, data_batch=data_batch
        )
        with autocast(enabled=self.fp16):
            for threshold, samples in predict_at_thresholds(
                self.runner.model, data_batch, tuple(self.evaluators)
            ):
                self.evaluators[threshold].process(
                    data_samples=samples, data_batch=data_batch
                )
        # Of the last threshold: a hook wants one prediction.
        self.runner.call_hook(
            'after_test_iter',
            batch_idx=idx,
            data_batch=data_batch,
            outputs=samples,
        )
