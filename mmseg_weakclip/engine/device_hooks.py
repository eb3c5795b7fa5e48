"""Hooks that choose how PyTorch computes: TensorFloat-32, cuDNN, compiler."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

MATMUL = ('highest', 'high', 'medium')


@HOOKS.register_module()
class BackendHook(Hook):
    """Set the precision of matrix products, and cuDNN for tests.

    Args:
        matmul_precision: Of float32 matrix products, see
            ``torch.set_float32_matmul_precision``. ``'high'`` lets GPUs from
            Ampere on round the factors to TensorFloat-32, of 11 bits, as
            convolutions do by default.
        benchmark_tests: Whether cuDNN tries its algorithms on each new size
            of inputs in validations and tests too, if
            ``env_cfg.cudnn_benchmark`` is set. That costs more than it saves
            where images and views have many sizes.

    Raises:
        ValueError: There is no such precision.
    """

    def __init__(
        self,
        matmul_precision: str = 'high',
        *,
        benchmark_tests: bool = False,
    ) -> None:
        if matmul_precision not in MATMUL:
            raise ValueError(
                f'matmul_precision={matmul_precision!r} of BackendHook must '
                f'be one of {MATMUL}'
            )
        self.matmul_precision = matmul_precision
        self.benchmark_tests = benchmark_tests
        self._before = False

    def before_run(self, runner: Runner) -> None:
        """Set the precision of matrix products."""
        torch.set_float32_matmul_precision(self.matmul_precision)

    def before_val(self, runner: Runner) -> None:
        """Stop cuDNN's trials."""
        self._before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = self._before and self.benchmark_tests

    def after_val(self, runner: Runner) -> None:
        """Let training go on as it was."""
        torch.backends.cudnn.benchmark = self._before

    def before_test(self, runner: Runner) -> None:
        """Stop cuDNN's trials."""
        self.before_val(runner)

    def after_test(self, runner: Runner) -> None:
        """Restore the setting."""
        self.after_val(runner)


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile parts of the model, for training and for tests.

    mmengine's ``compile`` compiles a whole training step, data samples and
    all, and no test. Here only the networks are compiled; checkpoints stay as
    they are.

    Args:
        parts: Names of submodules of the segmentor.
        kwargs: Options of ``torch.compile``, such as ``dynamic=True`` for
            images of many sizes.
    """

    def __init__(
        self, parts: Sequence[str] = ('backbone',), **kwargs: Any
    ) -> None:
        self.parts = tuple(parts)
        self.options = kwargs

    def before_run(self, runner: Runner) -> None:
        """Compile the parts at their first use.

        Raises:
            ValueError: The model has no such part.
        """
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        if isinstance(model, BaseTTAModel):
            model = model.module
        for name in self.parts:
            try:
                part = model.get_submodule(name)
            except AttributeError as error:
                known = [name for name, _ in model.named_children()]
                raise ValueError(
                    f'CompileHook: {type(model).__name__} has no part '
                    f'{name!r}; there are {known} and the parts inside them'
                ) from error
            part.compile(**self.options)
