"""What CUDA refuses, and what makes the host wait for it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .events import Events, calling_line

aten = torch.ops.aten

# Operations whose result is a Python value, or has a size that depends on the
# values of tensors.
WAITING = {
    aten._local_scalar_dense, aten.bincount, aten.equal,
    aten.masked_select, aten.multinomial, aten.nonzero,
    aten.repeat_interleave, aten._unique, aten._unique2,
    aten.unique_consecutive, aten.unique_dim,
}  # fmt: skip
INDEXING = {
    aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_,
    aten._unsafe_index, aten._unsafe_index_put,
}  # fmt: skip
FILLING = {aten.fill, aten.fill_, aten.masked_fill, aten.masked_fill_}
MASKS = (torch.bool, torch.uint8)


class DeviceMismatch(RuntimeError):
    """Tensors of the CPU and of the device met in an operation."""


def check_operation(
    func: Any,
    args: tuple,
    on_host: Sequence[Tensor],
    on_device: Sequence[Tensor],
    others: Sequence[Any],
    events: Events,
) -> None:
    """Refuse what CUDA refuses, and count what waits.

    Args:
        func: Operation, an overload.
        args: Its positional arguments.
        on_host: Tensors of the CPU among all arguments.
        on_device: Tensors of the device among them.
        others: What is no tensor among them.
        events: Where waits and uploads are counted.

    Raises:
        DeviceMismatch: CUDA would refuse the operation.
    """
    packet = func.overloadpacket
    if any(isinstance(value, torch.Generator) for value in others):
        raise DeviceMismatch(
            f'{func} at {calling_line()}: a generator of the CPU for a tensor '
            'of the device'
        )
    if packet in WAITING:
        events.waits[calling_line(), packet.__name__] += 1
    if packet in INDEXING:
        on_host = _count_indices(args, on_host, on_device, events)
    # A number of the CPU may take part in pointwise operations, as it would
    # as a number of Python; but nothing may be written into it.
    lenient = (
        torch.Tag.pointwise in func.tags
        or packet in FILLING | INDEXING
        or '_foreach' in func.__name__
    )
    written = func._schema.is_mutable and args and _among(args[0], on_host)
    bad = [
        tuple(tensor.shape)
        for tensor in on_host
        if tensor.dim() or not lenient or written
    ]
    if bad:
        raise DeviceMismatch(
            f'{func} at {calling_line()}: tensors of the CPU, of shapes '
            f'{bad}, meet tensors of the device'
        )


def _among(tensor: Any, tensors: Sequence[Tensor]) -> bool:
    return any(tensor is other for other in tensors)


def _count_indices(
    args: tuple,
    on_host: Sequence[Tensor],
    on_device: Sequence[Tensor],
    events: Events,
) -> Sequence[Tensor]:
    """Count what indices cost; return the tensors that are none of them.

    Indices may lie on the CPU, from where they are uploaded.
    """
    indices = [index for index in args[1] if index is not None]
    # One number for all places of a mask is a masked_fill.
    fills = len(args) > 2 and args[2].numel() == 1 and len(indices) == 1
    if not fills and any(index.dtype in MASKS for index in indices):
        events.waits[calling_line(), 'boolean index'] += 1
    uploaded = [index for index in indices if _among(index, on_host)]
    for _ in uploaded:
        events.uploads[calling_line(), 'index'] += 1
    return [tensor for tensor in on_host if not _among(tensor, uploaded)]
