"""The context in which the pretended device is there."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import mmengine.device.utils
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from .autocast import autocast_call
from .events import Events
from .tensor import CPU, INNER, DeviceTensor, dispatch, names_device

AMP_WRAPPER = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
MAKING = {torch.tensor, torch.as_tensor, torch.asarray}
ITEMS = {Tensor.__getitem__, Tensor.__setitem__}


class _Dispatch(TorchDispatchMode):
    """Makes tensors on the device, which no argument is on yet."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatch(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """What never reaches the dispatcher, or not as it would with CUDA."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in MAKING and names_device(kwargs.get('device')):
            return self._make(func, args, kwargs)
        if func is Tensor.new_tensor and isinstance(args[0], DeviceTensor):
            kwargs = dict(dict(dtype=args[0].dtype, device=INNER), **kwargs)
            return self._make(torch.tensor, args[1:], kwargs)
        if func in ITEMS and isinstance(args[0], DeviceTensor):
            args = args[0], _index_tensors(args[1]), *args[2:]
        elif func is Tensor.cuda:
            return args[0].to(INNER)
        elif func is Tensor.to:
            args = tuple(INNER if names_device(x) else x for x in args)
            if names_device(kwargs.get('device')):
                kwargs['device'] = INNER
        elif func is Tensor.pin_memory:
            return args[0]
        return autocast_call(func, args, kwargs)

    @staticmethod
    def _make(func: Any, args: tuple, kwargs: dict) -> Tensor:
        """Make a tensor from values on the host, and upload it."""
        if not names_device(kwargs.pop('device')):
            return func(*args, **kwargs)
        gradient = kwargs.pop('requires_grad', False)
        if not isinstance(args[0], Tensor):
            # Numbers of the device in lists are fetched one by one.
            args = tree_map_only(DeviceTensor, DeviceTensor.item, args)
        made = func(*args, **kwargs).to(INNER)
        return made.requires_grad_() if gradient else made


def _index_tensors(index: Any) -> tuple:
    """Return an index with tensors for lists, as C++ makes them for CUDA."""
    parts = index if isinstance(index, tuple) else (index,)
    return tuple(
        torch.tensor(part, dtype=None if part else torch.long)
        if isinstance(part, list)
        else part
        for part in parts
    )


def _load(load: Any) -> Any:
    """Return ``torch.load`` that knows the device as ``map_location``."""

    def load_there(file: Any, map_location: Any = None, **kwargs: Any) -> Any:
        there = names_device(map_location)
        content = load(file, CPU if there else map_location, **kwargs)
        if there:
            content = tree_map_only(Tensor, lambda x: x.to(INNER), content)
        return content

    return load_there


@contextmanager
def pretend_cuda() -> Iterator[Events]:
    """Pretend that there is a device ``'cuda'``; yield what happens on it.

    Tensors on it have their values on the CPU. Models run forward and
    backward as ever, but what CUDA refuses raises an error: ``.numpy()``,
    tensors of both devices in an operation, a generator of the CPU. Autocast
    casts as on CUDA. What is not shown: kernels that CUDA lacks, memory,
    speed, and errors of rounding that are CUDA's own.

    ``torch.cuda.is_available()`` stays False: this is for code that is told a
    device, not for what asks whether there is one.
    """
    events = Events()
    amp = 'torch.cuda.amp.common.amp_definitely_not_available'
    with ExitStack() as stack:
        for patch in (
            mock.patch('torch.load', _load(torch.load)),
            mock.patch('torch.cuda._lazy_init', return_value=None),
            mock.patch('torch.cuda.is_bf16_supported', return_value=True),
            mock.patch(amp, return_value=False),
            # Parameters stay the objects that they are, as on CUDA.
            mock.patch(
                'torch.__future__._swap_module_params_on_conversion', True
            ),
            # Where mmengine's runners put a model.
            mock.patch.object(mmengine.device.utils, 'DEVICE', 'cuda'),
            mock.patch(f'{AMP_WRAPPER}.is_cuda_available', return_value=True),
            mock.patch.object(DeviceTensor, 'events', events),
        ):
            stack.enter_context(patch)
        stack.enter_context(_Dispatch())
        stack.enter_context(_Functions())
        yield events
