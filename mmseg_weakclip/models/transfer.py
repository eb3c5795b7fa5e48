"""Values of the host on a device, without waiting for the device.

A copy from ordinary memory waits until the device has done all that it was
asked for before. A copy from pinned memory does not (:func:`upload`), and
what never changes is copied once (:func:`device_constant`).
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def upload(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU to a device, without waiting for it.

    Args:
        values: Tensor on the CPU, which is not changed afterwards.
        device: Device of the result.
    """
    if device.type != 'cuda':
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def device_constant(values: Sequence[float], device: torch.device) -> Tensor:
    """Return numbers on a device, where they stay from the first call on.

    Args:
        values: N numbers.
        device: Device of the result.

    Returns:
        float32, (N,); it is shared, and must not be changed in place.
    """
    return _constant(tuple(values), device)


@lru_cache(maxsize=256)
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    # An inference tensor could not be used by a training later.
    with torch.inference_mode(mode=False):
        return upload(torch.tensor(values), device)
