"""-log of a similarity, which may be negative where a probability is not."""

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
