"""The device that a user asks for."""

import torch


def use_device(name: str) -> torch.device:
    """A device that tensors can be put on.

    Args:
        name: As PyTorch names devices, such as ``'cuda:1'``.

    Raises:
        ValueError: There is none of this name.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'there is no device {name}: {reason}') from error
    return device
