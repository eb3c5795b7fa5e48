"""CAMs as an optimal transport between patches and classes.

Each patch gives one share of mass and each class takes as much as it seems to
have in the image, at the least total cost; so classes compete for patches, and
a class cannot be everywhere. DFA (CVPR 2026) reads its CAMs that way, and POT
(CVPR 2025) before it. Neither says how far the transport is smoothed.
"""

import math

import torch
from torch import Tensor


def log_class_masses(
    scores: Tensor, present: Tensor, sharpness: float | None = None
) -> Tensor:
    """Return the logarithm of each class's share of an image's patches.

    The shares are the softmax over the present classes of the sum of their
    scores over the patches (DFA), or of ``sharpness`` times the mean. They may
    be smaller than a float can be, hence the logarithm.

    Args:
        scores: Scores of R classes at N patches, (B, R, N).
        present: Whether a class takes part, bool (B, R); at least one does.
        sharpness: Factor of the mean; None is N, the published sum. Less
            makes the shares more alike, and 0 all the same.

    Returns:
        float32, (B, R); minus infinity for classes that take no part.
    """
    factor = scores.shape[2] if sharpness is None else sharpness
    total = factor * scores.float().mean(2)
    return total.masked_fill(~present, -torch.inf).log_softmax(1)


def log_transport_plan(
    scores: Tensor,
    log_masses: Tensor,
    smoothness: float = 0.1,
    iterations: int = 50,
) -> Tensor:
    """Move the patches' mass to the classes where scores are high.

    The plan T >= 0 with the largest ``sum T scores - smoothness * sum T log
    T`` whose patches give 1 / N each and whose classes take their masses, by
    Sinkhorn's iterations on logarithms.

    Args:
        scores: Scores of R classes at N patches, (B, R, N).
        log_masses: Logarithm of the share that each class takes, (B, R).
        smoothness: Weight of the entropy, in units of the scores, above 0.
            With less, more patches belong to one class alone.
        iterations: Pairs of normalisations. The patches' are exact at the
            end, the classes' nearly so.

    Returns:
        The logarithm of the plan, float32, (B, R, N).

    Raises:
        ValueError: ``smoothness`` or ``iterations`` is too small.
    """
    if not smoothness > 0 or iterations < 1:
        raise ValueError(
            f'smoothness={smoothness} of the transport must be above 0, '
            f'iterations={iterations} at least 1'
        )
    with torch.autocast(scores.device.type, enabled=False):
        gain = scores.float() / smoothness
        wanted = log_masses.float()[..., None]
        absent = wanted.isneginf()
        given = -math.log(gain.shape[2])
        classes = torch.zeros_like(wanted).masked_fill(absent, -torch.inf)
        for _ in range(iterations):
            patches = given - (gain + classes).logsumexp(1, keepdim=True)
            taken = (gain + patches).logsumexp(2, keepdim=True)
            classes = (wanted - taken).masked_fill(absent, -torch.inf)
        patches = given - (gain + classes).logsumexp(1, keepdim=True)
        return gain + classes + patches


def transport_cams(
    scores: Tensor,
    present: Tensor | None = None,
    smoothness: float = 0.1,
    sharpness: float | None = None,
    iterations: int = 50,
) -> Tensor:
    """Return CAMs of the transport between patches and classes.

    The scores of an image are first stretched to 0..1 over its present classes
    and all patches, so that ``smoothness`` means the same for any scores.

    Args:
        scores: Scores of R classes, background or background words among
            them, (B, R, h, w).
        present: Whether a class takes part, bool (B, R); None for all. With
            one class there is nothing to decide: its CAM is one everywhere.
        smoothness: See :func:`log_transport_plan`.
        sharpness: See :func:`log_class_masses`.
        iterations: See :func:`log_transport_plan`.

    Returns:
        float32 in [0, 1], (B, R, h, w): the plan divided by each class's
        maximum; zero for classes that take no part.
    """
    if present is None:
        present = torch.ones_like(scores[..., 0, 0], dtype=torch.bool)
    with torch.autocast(scores.device.type, enabled=False):
        values = scores.float().flatten(2)
        away = ~present[..., None]
        least = values.masked_fill(away, torch.inf).amin((1, 2), keepdim=True)
        most = values.masked_fill(away, -torch.inf).amax((1, 2), keepdim=True)
        span = (most - least).clamp(min=torch.finfo(values.dtype).tiny)
        # Classes that take no part may have scores of any size.
        stretched = ((values - least) / span).masked_fill(away, 0)
        masses = log_class_masses(stretched, present, sharpness)
        plan = log_transport_plan(stretched, masses, smoothness, iterations)
        top = plan.amax(2, keepdim=True).masked_fill(away, 0)
        # An image without any class has no plan.
        cams = (plan - top).exp().masked_fill(away, 0)
        return cams.view_as(scores)
