"""Putting patches into groups, with a gradient (SegCLIP, ICML 2023)."""

import torch
from torch import Tensor


def gumbel_noise(like: Tensor) -> Tensor:
    """Independent draws of a standard Gumbel distribution."""
    return -torch.empty_like(like).exponential_().log()


def straight_through(probabilities: Tensor) -> Tensor:
    """One-hot at the largest of each column, with the column's gradient.

    Args:
        probabilities: Over groups, (B, G, N).

    Returns:
        (B, G, N), of zeros and ones only; the gradient passes through to
        the probabilities. The first of several largest is taken.
    """
    best = probabilities.argmax(1, keepdim=True)
    one_hot = torch.zeros_like(probabilities).scatter_(1, best, 1)
    # Zero, exactly: adding p and subtracting it again would not be.
    return one_hot + (probabilities - probabilities.detach())


def assign(logits: Tensor, tau: float | None = None) -> tuple[Tensor, Tensor]:
    """Choose a group for each patch.

    Args:
        logits: Of G groups and N patches, (B, G, N).
        tau: Temperature of a Gumbel-softmax, from which the group is drawn;
            None takes the most likely one.

    Returns:
        The choice, one-hot with straight-through gradient, and the softmax
        of the logits, without noise or temperature; both (B, G, N).
    """
    soft = logits.softmax(1)
    if tau is None:
        return straight_through(soft), soft
    noisy = (logits + gumbel_noise(logits)) / tau
    return straight_through(noisy.softmax(1)), soft
