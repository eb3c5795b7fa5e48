"""Functions that several losses share."""

from math import log

from torch import Tensor


def negative_log(
    values: Tensor, tangent_below: float | None = 0.1, eps: float = 1e-4
) -> Tensor:
    """``-log(values)``, continued to where the logarithm is not defined.

    CLIMS takes -log of a cosine, and keeps it finite by a clamp to
    [eps, 1 - eps]. A clamp has no gradient outside: a region that is not at
    all like its text is left as it is. Here the curve goes on as its tangent
    below t = ``tangent_below``::

        -log v                          v >= t
        -log t + (t - v) / t            v < t

    Value and slope are continuous, the slope is never steeper than -1 / t.
    (A tangent at the published eps would have the slope -10,000, against -4
    at the usual cosine of 0.28.)

    Args:
        values: Up to 1 as a cosine, up to 2 as 1 - cosine; any floating type
            and shape. Above 1 the result is negative.
        tangent_below: t, in (0, 1); None clamps instead, as published.
        eps: Bounds of the clamp, where there is one.

    Returns:
        float32, of the same shape, falling in ``values``.
    """
    values = values.float()
    if tangent_below is None:
        return -values.clamp(eps, 1 - eps).log()
    # Not by clamp, whose gradient at its bound depends on torch's version.
    below = values < tangent_below
    curve = -values.masked_fill(below, tangent_below).log()
    tangent = (tangent_below - values) / tangent_below - log(tangent_below)
    return tangent.where(below, curve)


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


def connected_zero(maps: Tensor) -> Tensor:
    """A zero through which a backward pass reaches the maps.

    A step without a pair thus still gives every parameter a gradient, which
    distributed training waits for.

    Args:
        maps: (B, K, h, w); may hold infinities, which ``0 * maps.sum()``
            would turn into NaN.

    Returns:
        Scalar, float32; its gradient is 0 everywhere.
    """
    return maps[:0].float().sum()


def mean_or_zero(values: Tensor, maps: Tensor) -> Tensor:
    """The mean of values, or a finite zero where there are none.

    Args:
        values: float32, (N,).
        maps: See :func:`connected_zero`.

    Returns:
        Scalar, float32, connected to the maps.
    """
    return values.sum() / max(len(values), 1) + connected_zero(maps)
