"""Functions that several losses share: logarithms, softmax and zeros."""

from math import log

from torch import Tensor

# Published value; bounds -log p of the smoothed softmax by 16.2.
EPS = 1e-7


def negative_log(
    values: Tensor,
    tangent_below: float | None = 0.1,
    eps: float | None = 1e-4,
) -> Tensor:
    """Return ``-log(values)``, continued by a tangent near and below 0.

    CLIMS takes -log of a cosine, and keeps it finite by a clamp to
    [eps, 1 - eps]. A clamp has no gradient outside: a region that does not
    resemble its text at all gets no gradient. Here the curve continues as
    its tangent below t = ``tangent_below``::

        -log v                          v >= t
        -log t + (t - v) / t            v < t

    Value and slope are continuous, the slope is never steeper than -1 / t.
    (A tangent at the published eps would have the slope -10,000, against -4
    at the usual cosine of 0.28.)

    Args:
        values: Cosines, up to 1, or 1 - cosine, up to 2; any floating type
            and shape. Above 1 the result is negative.
        tangent_below: t, in (0, 1); None clamps instead, as published.
        eps: The clamp is to [eps, 1 - eps]; None does not clamp, so that the
            result is infinite at 0 and NaN below. Unused with a tangent.

    Returns:
        float32, of the same shape, falling in ``values``.
    """
    values = values.float()
    if tangent_below is None and eps is None:
        return -values.log()
    if tangent_below is None:
        return -values.clamp(eps, 1 - eps).log()
    # Not by clamp, whose gradient at its bound depends on torch's version.
    below = values < tangent_below
    curve = -values.masked_fill(below, tangent_below).log()
    tangent = (tangent_below - values) / tangent_below - log(tangent_below)
    return tangent.where(below, curve)


def smoothed_softmax(logits: Tensor) -> Tensor:
    """Return ``(softmax + eps) / sum(softmax + eps)`` over classes.

    Args:
        logits: Class logits, (B, K, H, W), of any floating type.

    Returns:
        float32, shape (B, K, H, W), positive and summing to one over K.
    """
    probs = logits.float().softmax(dim=1)
    return (probs + EPS) / (1 + logits.shape[1] * EPS)


def connected_zero(maps: Tensor) -> Tensor:
    """Return a zero through which a backward pass reaches the maps.

    So a step without a pair still gives every parameter a gradient, which
    distributed training waits for.

    Args:
        maps: Activation maps, (B, K, h, w); may hold infinities, which ``0 *
            maps.sum()`` would turn into NaN.

    Returns:
        Scalar, float32; its gradient is 0 everywhere.
    """
    return maps[:0].float().sum()


def mean_or_zero(values: Tensor, maps: Tensor) -> Tensor:
    """Return the mean of values, or a finite zero if there are none.

    Args:
        values: Loss values, float32, (N,).
        maps: Activation maps; see :func:`connected_zero`.

    Returns:
        Scalar, float32, connected to the maps.
    """
    return values.sum() / max(len(values), 1) + connected_zero(maps)
