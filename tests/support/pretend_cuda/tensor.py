"""Tensors with values on the CPU that say they lie on ``cuda:0``."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from .events import Events, calling_line
from .rules import check_operation

CUDA, CPU = torch.device('cuda', 0), torch.device('cpu')
# The device that torch's C++ sees. It has to be one that is always there, and
# other tensors on meta carry no index.
INNER = torch.device('meta', 0)
NAMES = {'cuda', str(CUDA), str(INNER)}

aten = torch.ops.aten
COPIES = {aten._to_copy, aten.copy_}
# They compute nothing, but are no views for torch.
ALIASES = {aten.alias, aten.detach}


class DeviceTensor(Tensor):
    """A tensor that says it lies on the device.

    Attributes:
        values: The same tensor on the CPU.
    """

    values: Tensor
    events = Events()
    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)
    is_meta = property(lambda self: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, values: Tensor) -> 'DeviceTensor':
        made = Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=INNER,
        )
        made.values = values
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatch(func, args, kwargs or {})

    def numpy(self, *_: Any, **__: Any) -> None:
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use "
            'Tensor.cpu() to copy the tensor to host memory first.'
        )

    __array__ = numpy

    def tolist(self) -> list:
        return self.cpu().tolist()

    def get_device(self) -> int:
        return 0

    def data_ptr(self) -> int:
        return self.values.data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.values.untyped_storage()

    @property
    def data(self) -> Tensor:
        return Tensor.data.__get__(self)

    @data.setter
    def data(self, other: 'DeviceTensor') -> None:
        Tensor.data.__set__(self, other)
        self.values = other.values

    def __repr__(self, **_: Any) -> str:
        return f'DeviceTensor({self.values!r})'

    def __deepcopy__(self, memo: dict) -> Tensor:
        copied = DeviceTensor(self.values.detach().clone())
        if isinstance(self, nn.Parameter):
            copied = nn.Parameter(copied, self.requires_grad)
        elif self.requires_grad:
            copied.requires_grad_()
        return memo.setdefault(id(self), copied)

    def __reduce_ex__(self, protocol: int) -> Any:
        # A checkpoint is read on any machine.
        return self.cpu().__reduce_ex__(protocol)


def names_device(value: Any) -> bool:
    """Return whether a value is the pretended device or its name."""
    if isinstance(value, torch.device | str):
        return str(value) in NAMES
    return False


def dispatch(func: Any, args: tuple, kwargs: dict) -> Any:
    """Run an operation on the values of its tensors, by CUDA's rules."""
    flat, spec = tree_flatten((args, kwargs))
    on_device = [value for value in flat if isinstance(value, DeviceTensor)]
    target = kwargs.get('device')
    if not on_device and not names_device(target):
        return func(*args, **kwargs)
    events, packet = DeviceTensor.events, func.overloadpacket
    if packet in COPIES:
        stays = _count_copy(packet, args, target, events)
    else:
        stays = target is None or names_device(target)
        on_host = [
            value
            for value in flat
            if isinstance(value, Tensor)
            and not isinstance(value, DeviceTensor)
        ]
        others = [value for value in flat if not isinstance(value, Tensor)]
        check_operation(func, args, on_host, on_device, others, events)
    if not func.is_view and packet not in ALIASES:
        events.launches[calling_line()] += 1
    return _run(func, flat, spec, on_device, stays=stays)


def _count_copy(packet: Any, args: tuple, target: Any, events: Events) -> bool:
    """Count a copy between host and device; whether it ends on the device."""
    source = args[1] if packet is aten.copy_ else args[0]
    if packet is aten.copy_ or target is None:
        ends_there = isinstance(args[0], DeviceTensor)
    else:
        ends_there = names_device(target)
    comes_from_there = isinstance(source, DeviceTensor)
    if ends_there and not comes_from_there:
        events.uploads[calling_line(), 'copy'] += 1
    elif comes_from_there and not ends_there:
        events.waits[calling_line(), 'copy'] += 1
    return ends_there


def _run(
    func: Any,
    flat: list,
    spec: Any,
    on_device: list[DeviceTensor],
    *,
    stays: bool,
) -> Any:
    values = [
        value.values if isinstance(value, DeviceTensor) else value
        for value in flat
    ]
    args, kwargs = tree_unflatten(values, spec)
    if kwargs.get('device') is not None:
        kwargs['device'] = CPU
    result = func(*args, **kwargs)
    if torch.Tag.inplace_view in func.tags:
        (changed,) = (x for x in on_device if x.values is args[0])
        with torch.no_grad(), torch._C._DisableTorchDispatch():
            changed.as_strided_(result.shape, result.stride())
        return changed
    # What is written in place stays the same object.
    known = {id(tensor.values): tensor for tensor in on_device}

    def wrap(made: Tensor) -> Tensor:
        if id(made) in known:
            return known[id(made)]
        return DeviceTensor(made) if stays else made

    wrapped: Callable = wrap
    return tree_map_only(Tensor, wrapped, result)
