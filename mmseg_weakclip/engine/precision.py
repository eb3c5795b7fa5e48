"""Half precision at test time: networks in it, scores in float32.

mmengine's ``TestLoop(fp16=True)`` runs a whole test step under autocast, and
logits stay in half precision: neighbouring ones become equal, and the argmax
takes the first. Here only the network is in half precision;
:func:`half_precision` turns the logits of the decode heads into float32 before
anything else happens to them.
"""

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.runner import Runner, TestLoop, ValLoop
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import LOOPS
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmseg_weakclip.evaluation.thresholds import ThresholdSweepLoop

AUTO = 'auto'
DTYPES = {'float16': torch.float16, 'bfloat16': torch.bfloat16}
# Methods of a model that predict; loops call one of them.
STEPS = ('test_step', 'val_step', 'predict')


def has_fast_bfloat16() -> bool:
    """Return whether this CPU has instructions for bfloat16."""
    return torch.cpu._is_avx512_bf16_supported() or (
        torch.cpu._is_amx_tile_supported()
        # Elsewhere than on x86, oneDNN says yes only where it is fast.
        or 'avx' not in torch.backends.cpu.get_cpu_capability().lower()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def choose_amp_dtype(name: str, device_type: str) -> torch.dtype | None:
    """Return the type that networks run in on a device.

    Args:
        name: ``'float16'``, ``'bfloat16'`` or ``'auto'``: float16 on GPUs,
            whose rounding errors are an eighth of bfloat16's; bfloat16 on
            CPUs that have it, and float32 with a warning on those that do
            not, where half precision is slower.
        device_type: Type of the device, such as ``'cuda'``.

    Returns:
        The type; None stands for float32.

    Raises:
        ValueError: There is no such choice, or the device cannot do it.
    """
    if name not in (AUTO, *DTYPES):
        raise ValueError(
            f'amp_dtype={name!r} must be one of {(AUTO, *DTYPES)}'
        )
    if device_type not in ('cuda', 'cpu'):
        raise ValueError(
            f'half precision runs on CUDA and on CPUs, not on {device_type}: '
            'leave out --amp'
        )
    if device_type == 'cpu':
        if name == 'float16':
            raise ValueError(
                'amp_dtype=float16 needs a GPU: CPUs have bfloat16'
            )
        if name == AUTO and not has_fast_bfloat16():
            print_log(
                'This CPU has no instructions for bfloat16, in which it would '
                "be slower: float32 is used. amp_dtype='bfloat16' takes it "
                'anyway.',
                'current',
                level=logging.WARNING,
            )
            return None
        return torch.bfloat16
    if name == 'bfloat16' and not torch.cuda.is_bf16_supported(
        including_emulation=False
    ):
        raise ValueError(
            'amp_dtype=bfloat16 needs a GPU of compute capability 8.0 or '
            'more: take float16'
        )
    return DTYPES.get(name, torch.float16)


def model_device_type(model: nn.Module) -> str:
    """Return the type of the device that a model is on."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    return next(tensors).device.type


@contextmanager
def half_precision(
    model: nn.Module, dtype: torch.dtype | None
) -> Iterator[None]:
    """Let the networks of a model predict in half precision in the block.

    ``test_step``, ``val_step`` and ``predict`` run under autocast. What a
    decode head's ``predict_by_feat`` gets is turned into float32 first, so
    that resizing, sums over windows and views, softmax and argmax are in
    float32. Heads that compute class maps without it switch autocast off by
    themselves.

    Args:
        model: Segmentor, or a model that averages the views of one.
        dtype: float16 or bfloat16; None changes nothing.
    """
    if dtype is None:
        yield
        return
    device_type = model_device_type(model)
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, BaseDecodeHead):
                stack.enter_context(
                    _replaced(module, 'predict_by_feat', _in_float32)
                )
        for name in STEPS:
            if hasattr(model, name):
                stack.enter_context(
                    _replaced(
                        model,
                        name,
                        partial(_under_autocast, device_type, dtype),
                    )
                )
        yield


@contextmanager
def _replaced(
    owner: nn.Module, name: str, wrap: Callable[[Callable], Callable]
) -> Iterator[None]:
    """Wrap a method of one module in the block."""
    own = vars(owner).get(name)
    setattr(owner, name, wrap(getattr(owner, name)))
    try:
        yield
    finally:
        delattr(owner, name)
        # mmengine puts compiled methods there.
        if own is not None:
            setattr(owner, name, own)


def _in_float32(predict_by_feat: Callable[..., Any]) -> Callable[..., Any]:
    def predict(seg_logits: Any, *args: Any, **kwargs: Any) -> Any:
        # Other libraries' heads have lists of outputs.
        if isinstance(seg_logits, Tensor):
            seg_logits = seg_logits.float()
        return predict_by_feat(seg_logits, *args, **kwargs)

    return predict


def _under_autocast(
    device_type: str, dtype: torch.dtype, step: Callable[..., Any]
) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device_type, dtype):
            return step(*args, **kwargs)

    return run


class _AmpLoop:
    """What the loops in half precision have in common.

    Args:
        runner: Runner of the loop.
        dataloader: Data loader or its config; see ``TestLoop``.
        evaluator: Evaluator or its config; see ``TestLoop``.
        amp_dtype: See :func:`choose_amp_dtype`.
        kwargs: More arguments of the loop.

    Raises:
        ValueError: The device cannot do it.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        evaluator: Evaluator | dict | list,
        amp_dtype: str = AUTO,
        **kwargs: Any,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, **kwargs)
        # None for float32.
        self.amp_dtype = choose_amp_dtype(
            amp_dtype, model_device_type(runner.model)
        )

    def run(self) -> dict:
        """Run the loop, networks in half precision."""
        with half_precision(self.runner.model, self.amp_dtype):
            return super().run()


@LOOPS.register_module()
class AmpTestLoop(_AmpLoop, TestLoop):
    """Test in half precision; see :func:`half_precision`."""


@LOOPS.register_module()
class AmpValLoop(_AmpLoop, ValLoop):
    """Validate in half precision; see :func:`half_precision`."""


@LOOPS.register_module()
class AmpThresholdSweepLoop(_AmpLoop, ThresholdSweepLoop):
    """Sweep thresholds in half precision; see :func:`half_precision`."""
