"""Affinity of patches that CLIP gives the same mixture of classes.

Class distribution affinity (CDA) of CD-CLIP (CVPR 2026): two patches are alike
if their distributions over all texts are, by the divergence of Jensen and
Shannon. It has no parameters to learn.
"""

import torch
from torch import Tensor

# Numbers of mixtures that are held at a time; 64 MiB in float32.
MOST_MIXTURES = 2**24


def class_distributions(scores: Tensor, sharpness: float = 1.0) -> Tensor:
    """Return each patch's distribution over the texts.

    P = softmax over texts of ``sharpness`` times the scores, stretched to
    0..1 over the texts and patches of an image. The paper does not say over
    what they are stretched, and has no sharpness.

    Args:
        scores: Similarities of N patches and R texts, (B, R, N).
        sharpness: Factor before the softmax. With 1 the distributions are
            nearly flat, and ``tau`` of :func:`class_affinity` must be small.

    Returns:
        float32, (B, R, N), columns that sum to one.
    """
    values = scores.float()
    least, most = values.amin((1, 2)), values.amax((1, 2))
    span = (most - least).clamp(min=torch.finfo(values.dtype).tiny)
    stretched = (values - least[:, None, None]) / span[:, None, None]
    return (sharpness * stretched).softmax(1)


def jensen_shannon(distributions: Tensor) -> Tensor:
    """Return the divergence of all pairs of patches.

    JS(p || q) = H((p + q) / 2) - (H(p) + H(q)) / 2 with the entropy H in
    nats, which is half of KL(p || m) + KL(q || m) with m the mean.

    Args:
        distributions: Distributions over R texts, (B, R, N).

    Returns:
        float32 in [0, ln 2], symmetric, (B, N, N).
    """
    own = torch.special.entr(distributions).sum(1)
    batch, texts, patches = distributions.shape
    rows = max(1, MOST_MIXTURES // (batch * texts * patches))
    parts = []
    for some, entropy in zip(distributions.split(rows, 2), own.split(rows, 1)):
        mixed = (some[..., None] + distributions[:, :, None]) / 2
        between = torch.special.entr(mixed).sum(1)
        parts.append(between - (entropy[..., None] + own[:, None]) / 2)
    # Rounding may leave a little less than 0.
    return torch.cat(parts, 1).clamp(min=0)


def class_affinity(
    scores: Tensor, sharpness: float = 1.0, tau: float = 1e-3
) -> Tensor:
    """Return an affinity of patches by their classes.

    A_ij = softmax over j of (1 - JS(P_i || P_j)) / tau.

    Args:
        scores: Similarities of N patches and R texts, (B, R, N). The texts
            should be all classes of the data set and more, such as background
            words: with one text all patches are alike.
        sharpness: See :func:`class_distributions`.
        tau: Temperature; the paper does not give it. The smaller, the fewer
            patches are alike.

    Returns:
        float32, (B, N, N), rows that sum to one.

    Raises:
        ValueError: There are fewer than two texts, or a value is not above 0.
    """
    if scores.shape[1] < 2:
        raise ValueError(
            f'the affinity of classes needs two texts or more, not '
            f'{scores.shape[1]}: add background words to the text bank'
        )
    if sharpness <= 0 or tau <= 0:
        raise ValueError(
            f'sharpness={sharpness} and tau={tau} must be above 0'
        )
    with torch.autocast(scores.device.type, enabled=False):
        distributions = class_distributions(scores, sharpness)
        return ((1 - jensen_shannon(distributions)) / tau).softmax(2)
