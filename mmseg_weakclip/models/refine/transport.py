"""CAMs as an optimal transport between patches and classes.

Each patch gives one share of mass and each class takes as much as it seems to
have in the image, at the least total cost; so classes compete for patches, and
a class cannot be everywhere. DFA (CVPR 2026) reads its CAMs that way, and POT
(CVPR 2025) before it. Neither says how far the transport is smoothed.
"""

import torch
from torch import Tensor


def class_masses(
    scores: Tensor, present: Tensor, sharpness: float | None = None
) -> Tensor:
    """Return the share of an image's patches that each class takes.

    softmax over the present classes of the sum of its scores over the patches
    (DFA), or of ``sharpness`` times their mean.

    Args:
        scores: Scores of R classes at N patches, (B, R, N).
        present: Whether a class takes part, bool (B, R); at least one does.
        sharpness: Factor of the mean; None is N, the published sum. Less
            makes the shares more alike, and 0 all the same.

    Returns:
        float32, (B, R), rows that sum to one; 0 for the others.
    """
    factor = scores.shape[2] if sharpness is None else sharpness
    total = factor * scores.float().mean(2)
    return total.masked_fill(~present, -torch.inf).softmax(1)


def transport_plan(
    scores: Tensor,
    masses: Tensor,
    smoothness: float = 0.1,
    iterations: int = 50,
) -> Tensor:
    """Move the patches' mass to the classes where scores are high.

    The plan T >= 0 with the largest ``sum T scores - smoothness * sum T log
    T`` whose patches give 1 / N each and whose classes take their masses, by
    Sinkhorn's iterations on logarithms.

    Args:
        scores: Scores of R classes at N patches, (B, R, N).
        masses: Share that each class takes, (B, R), rows that sum to one.
        smoothness: Weight of the entropy, in units of the scores, above 0.
            With less, more patches belong to one class alone.
        iterations: Pairs of normalisations. The patches' are exact at the
            end, the classes' nearly so.

    Returns:
        float32, (B, R, N).

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
        wanted = masses.float().log()[..., None]
        absent = wanted.isneginf()
        given = -torch.tensor(float(gain.shape[2])).log()
        classes = torch.zeros_like(wanted).masked_fill(absent, -torch.inf)
        for _ in range(iterations):
            patches = given - (gain + classes).logsumexp(1, keepdim=True)
            taken = (gain + patches).logsumexp(2, keepdim=True)
            classes = (wanted - taken).masked_fill(absent, -torch.inf)
        patches = given - (gain + classes).logsumexp(1, keepdim=True)
        return (gain + classes + patches).exp()


def transport_cams(
    scores: Tensor,
    present: Tensor,
    smoothness: float = 0.1,
    sharpness: float | None = None,
    iterations: int = 50,
) -> Tensor:
    """Return CAMs of the transport between patches and classes.

    The scores of an image are first stretched to 0..1 over its present classes
    and all patches, so that ``smoothness`` means the same for any scores.

    Args:
        scores: Scores of R classes, background words among them,
            (B, R, h, w).
        present: Whether a class takes part, bool (B, R). With one class there
            is nothing to decide: its CAM is one everywhere.
        smoothness: See :func:`transport_plan`.
        sharpness: See :func:`class_masses`.
        iterations: See :func:`transport_plan`.

    Returns:
        float32 in [0, 1], (B, R, h, w): the plan divided by each class's
        maximum; zero for classes that take no part.
    """
    with torch.autocast(scores.device.type, enabled=False):
        values = scores.float().flatten(2)
        away = ~present[..., None]
        least = values.masked_fill(away, torch.inf).amin((1, 2), keepdim=True)
        most = values.masked_fill(away, -torch.inf).amax((1, 2), keepdim=True)
        span = (most - least).clamp(min=torch.finfo(values.dtype).tiny)
        # Classes that take no part may have scores of any size.
        stretched = ((values - least) / span).masked_fill(away, 0)
        masses = class_masses(stretched, present, sharpness)
        plan = transport_plan(stretched, masses, smoothness, iterations)
        top = plan.amax(2, keepdim=True)
        cams = plan / top.clamp(min=torch.finfo(plan.dtype).tiny)
        return cams.view_as(scores)
