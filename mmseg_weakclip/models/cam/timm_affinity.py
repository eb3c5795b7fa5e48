"""Affinities between patches by a frozen timm model.

Class maps of one model can be spread by what another one takes for alike.
"""

import math

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weakclip.models.clip.similarity import (
    centred_rows,
    positive_softmax,
)

from .timm_features import FrozenTimmModel

# Options of TimmAffinity that an affinity from proxies does not have.
PLAIN_OPTIONS = ('beta', 'gamma', 'positive')


@MODELS.register_module()
class TimmAffinity(FrozenTimmModel):
    """Affinities between the patches of an image by a timm model.

    Lan et al., ProxyCLIP, ECCV 2024: softmax of gamma * (cos - beta * mean),
    without negative entries.

    Args:
        model: See :class:`FrozenTimmModel`.
        beta: Factor of the mean similarity that is subtracted.
        gamma: Sharpness, a factor of the similarities.
        positive: Whether negative entries are left out of the softmax.
        grid: ``'own'`` keeps the model's patches, to which CLIP's values are
            then resized, as published; ``'clip'`` resizes its features to
            CLIP's patches, to combine the maps with other terms or attention.
        kwargs: Other arguments of :class:`FrozenTimmModel`; the images are
            normalised for CLIP by default.

    Raises:
        ValueError: ``grid`` is not allowed; see also
            :class:`FrozenTimmModel`.
    """

    def __init__(
        self,
        model: str,
        *,
        beta: float = 1.2,
        gamma: float = 3.0,
        positive: bool = True,
        grid: str = 'own',
        **kwargs,
    ) -> None:
        if grid not in ('own', 'clip'):
            raise ValueError(f"grid={grid!r} must be 'own' or 'clip'")
        super().__init__(model, **kwargs)
        self.beta = beta
        self.gamma = gamma
        self.positive = positive
        self.grid = grid

    @torch.no_grad()
    def forward(
        self, images: Tensor, grid: tuple[int, int]
    ) -> tuple[Tensor, tuple[int, int]]:
        """Return the affinities of patches.

        Args:
            images: Images normalised for CLIP, (B, 3, H, W), cut to whole
                patches.
            grid: Rows and columns (h, w) of CLIP's patches.

        Returns:
            (B, n * m, n * m), float32, rows that sum to one, and the grid
            (n, m).
        """
        features, grid = self.describe(images, grid)
        return self.relate(features, features), grid

    @torch.no_grad()
    def describe(
        self, images: Tensor, grid: tuple[int, int]
    ) -> tuple[Tensor, tuple[int, int]]:
        """Return features of patches.

        Args:
            images: As of :meth:`forward`.
            grid: Rows and columns (h, w) of CLIP's patches.

        Returns:
            (B, n * m, C), float32, and the grid (n, m).
        """
        features = self.encode(images)
        own = (features.shape[2], features.shape[3])
        if self.grid == 'own':
            grid = own
        # Means over CLIP's patches where the features are finer.
        elif own[0] >= grid[0] and own[1] >= grid[1]:
            features = F.adaptive_avg_pool2d(features, grid)
        else:
            features = F.interpolate(features, grid, mode='bilinear')
        return features.flatten(2).transpose(1, 2), (grid[0], grid[1])

    def relate(
        self,
        rows: Tensor,
        everything: Tensor,
        first: int = 0,
        windows: int = 1,
    ) -> Tensor:
        """Return affinities of some patches to all.

        Args:
            rows: Features of the patches ``first`` and on, (B, n, C).
            everything: Features of the patches of all windows of an image,
                (B, M, C).
            first: Index of the first row among all patches.
            windows: Number of windows of the image.

        Returns:
            (B, n, M), float32, rows that sum to one.
        """
        scores = centred_rows(rows, everything, self.beta, self.gamma)
        if self.positive:
            return positive_softmax(scores, first)
        return scores.softmax(-1)


@MODELS.register_module()
class ProxyTokenAffinity(TimmAffinity):
    """Affinities from proxies of patches (GLA-CLIP).

    A patch's proxy is the mean of the unit features whose cosine with it is
    above a limit; the proxy then takes the patch's place for another round.
    With m_i the mean cosine of the proxy p_i with all patches, not below
    zero, a row is the softmax of::

        gamma_i * (cos(p_i, f_j) - beta * m_i)
        beta = 1 + .3 ln(1 + windows)
        gamma_i = 1 + 30 / members of the proxy

    without the entries below ``min(highest of the row, 0)``. The source that
    this is from does not say whether the mean is of unit features.

    Args:
        model: See :class:`FrozenTimmModel`.
        limit: Cosine above which a patch belongs to a proxy; .55 in
            GLA-CLIP's code, which sets .6 and does not pass it.
        rounds: Number of rounds, at least 1.
        kwargs: Other arguments of :class:`TimmAffinity`, but for ``beta``,
            ``gamma`` and ``positive``.

    Raises:
        ValueError: There is no round, or one of these three is given; see
            also :class:`TimmAffinity`.
    """

    def __init__(
        self, model: str, *, limit: float = 0.55, rounds: int = 2, **kwargs
    ) -> None:
        given = [name for name in PLAIN_OPTIONS if name in kwargs]
        if given:
            raise ValueError(
                f'{", ".join(given)}: the affinity from proxies has factors '
                'of its own; leave out, or use TimmAffinity'
            )
        if rounds < 1:
            raise ValueError(f'rounds={rounds} must be at least 1')
        super().__init__(model, **kwargs)
        self.limit = limit
        self.rounds = rounds

    def relate(
        self,
        rows: Tensor,
        everything: Tensor,
        first: int = 0,
        windows: int = 1,
    ) -> Tensor:
        """Return affinities of some patches to all, (B, n, M)."""
        with torch.autocast(rows.device.type, enabled=False):
            return self._relate(rows, everything, windows)

    def _relate(
        self, rows: Tensor, everything: Tensor, windows: int
    ) -> Tensor:
        unit = F.normalize(everything.float(), dim=2)
        proxies = F.normalize(rows.float(), dim=2)
        for _ in range(self.rounds):
            members = proxies @ unit.transpose(1, 2) > self.limit
            # A proxy that nothing is like stays as it is.
            count = members.sum(2, keepdim=True)
            mean = members.float() @ unit / count.clamp(min=1)
            proxies = torch.where(count > 0, mean, proxies)
            proxies = F.normalize(proxies, dim=2)
        cosine = proxies @ unit.transpose(1, 2)
        mean = cosine.mean(2, keepdim=True).clamp(min=0)
        beta = 1 + 0.3 * math.log(1 + windows)
        gamma = 1 + 30 / count.clamp(min=1)
        scores = gamma * (cosine - beta * mean)
        least = scores.amax(2, keepdim=True).clamp(max=0)
        return scores.masked_fill(scores < least, -torch.inf).softmax(2)
