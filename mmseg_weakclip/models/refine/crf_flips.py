"""Pixels whose class depends on how much a CRF trusts a class.

Uncertainty of Li et al., "Uncertainty Estimation via Response Scaling for
Pseudo-Mask Noise Mitigation in Weakly-Supervised Semantic Segmentation" (URN,
AAAI 2022). The scores of one class are raised to several powers, which makes
it stronger or weaker, and the CRF runs for each: where the class comes and
goes, the mask is a matter of chance.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .crf_params import CRFParams, resolve_crf_params
from .dense_crf import MIN_PROB
from .mean_field import LatticeMessages, crf_kernels, softmax_of_rows

# Published values. A power below 1 makes a class stronger.
POWERS = (0.15, 0.2, 0.25, 4.0, 5.0, 6.0)
# Pixels with less certainty than this share of the image's range count little.
LIMIT = 0.05
# Rows of the lattice's table that are filtered at once, in floats.
MAX_FLOATS = 2**25


@torch.no_grad()
def crf_uncertainty(
    image: Tensor,
    scores: Tensor,
    labels: Tensor,
    params: CRFParams | str | Mapping[str, float],
    powers: Sequence[float] = POWERS,
) -> Tensor:
    """Return how much the classes of pixels change with the scores' powers.

    For each class c of the labels and each power n, the scores of c are
    raised to n, and the CRF gives b_n = (c is the best class). The
    uncertainty is the largest variance of b_n over n among the classes,
    stretched to 0..1 over the image.

    Args:
        image: RGB in 0..255, (3, H, W).
        scores: Scores before the CRF, in [0, 1], (K, H, W).
        labels: The mask of the image, made of the same scores: indices of
            channels, (H, W). Channels that it lacks are left out.
        params: Of the CRF.
        powers: The powers n, > 0.

    Returns:
        float32 in [0, 1], (H, W); all 0 where nothing changes.
    """
    with torch.autocast(scores.device.type, enabled=False):
        shown = torch.unique(labels)
        values = scores.float()[shown].clamp(MIN_PROB, 1).log()
        energy = -values.flatten(1).T.contiguous()
        # (N, variants, classes): variant v raises one class to one power.
        variants = [
            (column, power) for column in range(len(shown)) for power in powers
        ]
        options = resolve_crf_params(params)
        colors = image[None].to(scores.device, torch.float32)
        messages = LatticeMessages(crf_kernels(colors, options))
        size = max(1, MAX_FLOATS // energy.numel())
        found = [
            _wins(energy, variants[start : start + size], messages, options)
            for start in range(0, len(variants), size)
        ]
        wins = torch.cat(found, 1).view(-1, len(shown), len(powers))
        spread = wins.float().var(2, unbiased=False).amax(1)
        spread = spread - spread.min()
        spread = spread / spread.max().clamp(min=torch.finfo().tiny)
        return spread.view(scores.shape[1:])


def _wins(
    energy: Tensor,
    variants: Sequence[tuple[int, float]],
    messages: LatticeMessages,
    params: CRFParams,
) -> Tensor:
    """Return where the raised class of each variant is the best, (N, V).

    The kernels are linear and treat columns alike, so all variants go
    through them at once.
    """
    unary = energy[:, None].repeat(1, len(variants), 1)
    for index, (column, power) in enumerate(variants):
        unary[:, index, column] *= power
    unary.clamp_(max=-math.log(MIN_PROB))
    shape = unary.shape
    rows = unary.view(1, -1, shape[2])
    q = softmax_of_rows(-rows)
    for _ in range(params.iterations):
        sums = messages(q.view(1, shape[0], -1)).view(rows.shape)
        q = softmax_of_rows(sums.sub_(rows))
    best = q.view(shape).argmax(2)
    columns = torch.tensor([column for column, _ in variants])
    return best == columns.to(best.device)


def flipping_pixels(uncertainty: Tensor, limit: float = LIMIT) -> Tensor:
    """Return the pixels that count little in a training, bool, (H, W).

    They are those of a certainty, 1 - uncertainty, of at most ``limit``. URN
    gives them the weight 0.05.
    """
    return 1 - uncertainty <= limit
