"""Test loop that sweeps the background threshold of a head in one pass.

The threshold acts after the backbone. So the features of each batch are
stored, and the rest of the prediction is repeated with each threshold.
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner, TestLoop
from mmseg.models import BaseSegmentor
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import LOOPS
from mmseg.utils import SampleList
from torch import Tensor
from torch.utils.data import DataLoader


def parse_thresholds(texts: Sequence[str]) -> tuple[float, ...]:
    """Parse numbers and ranges such as ``'0.05:0.95:0.05'``.

    Args:
        texts: Numbers, or ranges ``start:stop:step`` with both ends included.

    Returns:
        Thresholds in [0, 1], ascending, without repetitions.

    Raises:
        ValueError: A text is neither, or a threshold is out of range.
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
        # The end is included, however 0.9 / 0.05 is rounded.
        count = int((stop - start) / step + 1e-6) + 1
        found.update(round(start + i * step, 10) for i in range(count))
    return tuple(sorted(found))


def check_threshold(model: BaseSegmentor) -> None:
    """Check that the head of a segmentor has a threshold to sweep.

    All of mmseg's heads have an attribute ``threshold``, which only those
    with one output channel use. A head has a threshold if it is set, or if
    its own class takes it as an argument.

    Raises:
        ValueError: The head has no threshold; the message names the head.
    """
    head = getattr(model, 'decode_head', None)
    own = [
        vars(cls)['__init__']
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
    """Replacement of ``extract_feat`` that stores features and repeats them.

    Args:
        extract: Function that extracts features.
    """

    def __init__(self, extract: Callable[[Tensor], Any]) -> None:
        self.extract = extract
        self.stored: list[Any] = []
        self.position = 0

    def rewind(self) -> None:
        """Repeat the stored features from the first one on."""
        self.position = 0

    def __call__(self, inputs: Tensor) -> Any:
        """Return the features of one window, or of whole images.

        Every prediction asks for them in the same order, because the same
        images are cut into the same windows.

        Args:
            inputs: Images or windows, (B, 3, H, W).
        """
        if self.position == len(self.stored):
            self.stored.append(self.extract(inputs))
        self.position += 1
        return self.stored[self.position - 1]


@contextmanager
def remembered_features(model: BaseSegmentor) -> Iterator[FeatureReplay]:
    """Let a segmentor store the features of one batch inside the block."""
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
    """Predict one batch at each threshold, extracting its features once.

    Args:
        model: Segmentor in evaluation mode; its threshold is restored.
        data: Batch of the data loader.
        thresholds: Thresholds in [0, 1].

    Yields:
        Each threshold and the predicted samples, which the next prediction
        overwrites.

    Raises:
        ValueError: The head has no threshold.
    """
    check_threshold(model)
    head = model.decode_head
    before = head.threshold
    # Only once, because it changes the samples.
    data = model.data_preprocessor(data, training=False)
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

    The network runs once per image; see :func:`predict_at_thresholds`. Each
    threshold has its own evaluator, a copy of the test evaluator.

    Args:
        runner: Runner of the loop.
        dataloader: Data loader or its config; see ``TestLoop``.
        evaluator: Test evaluator or its config; see ``TestLoop``.
        thresholds: At least one threshold in [0, 1].
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        evaluator: Evaluator | dict | list,
        thresholds: Sequence[float],
    ) -> None:
        super().__init__(runner, dataloader, evaluator)
        self.evaluators = {
            threshold: copy.deepcopy(self.evaluator)
            for threshold in thresholds
        }

    def run(self) -> dict[float, dict[str, float]]:
        """Sweep the thresholds.

        Returns:
            Metrics of each threshold.

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
        # Hooks take numbers by name.
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
        for threshold, samples in predict_at_thresholds(
            self.runner.model, data_batch, tuple(self.evaluators)
        ):
            self.evaluators[threshold].process(
                data_samples=samples, data_batch=data_batch
            )
        # The prediction at the last threshold: hooks take only one.
        self.runner.call_hook(
            'after_test_iter',
            batch_idx=idx,
            data_batch=data_batch,
            outputs=samples,
        )
