"""Every background threshold of a head, for one pass through the network.

The threshold acts behind the backbone. So of each batch the features are
remembered and the rest of the prediction, windows and all, is repeated.
"""

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner, TestLoop
from mmengine.runner.amp import autocast
from mmseg.models import BaseSegmentor
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import LOOPS
from mmseg.utils import SampleList
from torch import Tensor
from torch.utils.data import DataLoader


def parse_thresholds(texts: Sequence[str]) -> tuple[float, ...]:
    """Numbers and ranges such as ``'0.05:0.95:0.05'``.

    Args:
        texts: Each a number, or ``start:stop:step`` with both ends.

    Returns:
        Thresholds in [0, 1], ascending, each once.

    Raises:
        ValueError: A text is neither, or there is a threshold out of range.
    """
    found = set()
    for text in texts:
        try:
            numbers = [float(part) for part in text.split(':')]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 3):
            raise ValueError(
                f'{text!r} is neither a threshold such as 0.3 nor a range '
                'start:stop:step such as 0.05:0.95:0.05'
            )
        start, stop, step = numbers if len(numbers) == 3 else numbers * 3
        if not (0 <= start <= stop <= 1 and step >= 0):
            raise ValueError(
                f'{text!r} must lie in [0, 1], and a range must go upwards'
            )
        if start == stop:
            found.add(start)
            continue
        if not step:
            raise ValueError(f'{text!r} is a range without a step')
        # The end belongs to it, however 0.9 / 0.05 is rounded.
        count = int((stop - start) / step + 1e-6) + 1
        found.update(round(start + i * step, 10) for i in range(count))
    return tuple(sorted(found))


def check_threshold(model: BaseSegmentor) -> None:
    """See that the head of a segmentor has a threshold to sweep.

    All of mmseg's heads have an attribute ``threshold``, which only those
    with one output channel use. A head has one if it is set, or if its own
    class takes it.

    Raises:
        ValueError: It has none; the message names the head.
    """
    head = getattr(model, 'decode_head', None)
    own = [
        cls.__init__
        for cls in type(head).__mro__
        if cls is not BaseDecodeHead and '__init__' in vars(cls)
    ]
    if getattr(head, 'threshold', None) is None and not any(
        'threshold' in inspect.signature(init).parameters for init in own
    ):
        raise ValueError(
            f'the decode_head, {type(head).__name__}, has no threshold: only '
            'heads with one can be swept, such as RegionTextHead and '
            'PatchTextHead'
        )


class FeatureReplay:
    """Stands in for ``extract_feat``: listens once, then repeats.

    Args:
        extract: What it stands in for.
    """

    def __init__(self, extract) -> None:
        self.extract = extract
        self.kept: list[Any] = []
        self.position = 0

    def rewind(self) -> None:
        """Begin to repeat."""
        self.position = 0

    def __call__(self, inputs: Tensor) -> Any:
        """Features of one window, or the whole, (B, 3, H, W).

        They are asked for in the same order each time, because the same
        images are cut in the same way.
        """
        if self.position == len(self.kept):
            self.kept.append(self.extract(inputs))
        self.position += 1
        return self.kept[self.position - 1]


@contextmanager
def remembered_features(model: BaseSegmentor) -> Iterator[FeatureReplay]:
    """Have a segmentor remember the features of one batch."""
    replay = FeatureReplay(model.extract_feat)
    model.extract_feat = replay
    try:
        yield replay
    finally:
        del model.extract_feat


def predict_at_thresholds(
    model: BaseSegmentor,
    data: dict[str, Any],
    thresholds: Sequence[float],
) -> Iterator[tuple[float, SampleList]]:
    """Predict one batch at each threshold, its features made once.

    Args:
        model: In evaluation mode; its head is left as it was.
        data: A batch as the data loader gives it.
        thresholds: See :func:`parse_thresholds`.

    Yields:
        A threshold and the predicted samples, which the next prediction
        overwrites.

    Raises:
        ValueError: The head has no threshold.
    """
    check_threshold(model)
    head = model.decode_head
    before = head.threshold
    # Once: it changes the samples.
    data = model.data_preprocessor(data, False)
    try:
        with remembered_features(model) as replay:
            for threshold in thresholds:
                head.threshold = threshold
                replay.rewind()
                yield threshold, model(**data, mode='predict')
    finally:
        head.threshold = before


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
