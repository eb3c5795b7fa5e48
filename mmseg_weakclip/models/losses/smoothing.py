"""The smoothed softmax that WeakCLIP's losses on small maps share."""

from torch import Tensor

# Published value; bounds -log p by 16.2.
EPS = 1e-7


def smoothed_softmax(logits: Tensor) -> Tensor:
    """``(softmax + eps) / sum(softmax + eps)`` over classes, in float32.

    Args:
        logits: Shape (B, K, H, W), of any floating type.

    Returns:
        float32, shape (B, K, H, W), positive and summing to one over K.
    """
    probs = logits.float().softmax(dim=1)
    return (probs + EPS) / (1 + logits.shape[1] * EPS)
