"""SegCLIP's grouping of patches around learnable centres.

:class:`SemanticGroup` is the module, for patches of any network: its centres
attend to the patches (:class:`CenterBlock`), each patch is assigned to a
centre (:func:`assign`), and a group's token is the mean of its patches.
:class:`SemanticGroupNeck` adds the tokens to the feature maps of any backbone.
"""

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from .encoder import Groups
from .patch_decoder import STD, init_linear

SCALES = (None, 'sqrt_dim')
# Least divisor of the mean over softmax shares, whose gradient is bounded.
SOFT_FLOOR = 1e-6


def mlp(channels: int, activation: type[nn.Module]) -> nn.Sequential:
    """Return a two-layer perceptron with four times the channels inside."""
    return nn.Sequential(
        nn.Linear(channels, 4 * channels),
        activation(),
        nn.Linear(4 * channels, channels),
    )


class CenterBlock(nn.Module):
    """Attention of centres to the patches of their image.

    ``q + MHA(LN q, LN [q; X])``, then ``q + MLP(LN q)``.

    Args:
        channels: Width D of centres and patches.
        num_heads: Number of attention heads.
        with_centers: Whether the centres attend to each other, too.
    """

    def __init__(
        self, channels: int, num_heads: int, *, with_centers: bool
    ) -> None:
        super().__init__()
        self.with_centers = with_centers
        self.query_norm = nn.LayerNorm(channels)
        self.key_norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(
            channels, num_heads, batch_first=True
        )
        self.mlp_norm = nn.LayerNorm(channels)
        self.mlp = mlp(channels, QuickGELU)

    def forward(self, centers: Tensor, patches: Tensor) -> Tensor:
        """Update centres (B, G, D) by patches (B, N, D)."""
        seen = patches
        if self.with_centers:
            seen = torch.cat([centers, patches.to(centers.dtype)], 1)
        keys = self.key_norm(seen)
        mixed, _ = self.attention(
            self.query_norm(centers), keys, keys, need_weights=False
        )
        centers = centers + mixed
        return centers + self.mlp(self.mlp_norm(centers))


def gumbel_noise(like: Tensor) -> Tensor:
    """Draw independent samples of a standard Gumbel distribution."""
    return -torch.empty_like(like).exponential_().log()


def straight_through(probabilities: Tensor) -> Tensor:
    """Return a one-hot of the maximum, with the gradient of the input.

    Args:
        probabilities: Probabilities of groups, (B, G, N).

    Returns:
        Exact zeros and ones, (B, G, N); the gradient passes through to the
        probabilities. Of several maxima, the first is taken.
    """
    best = probabilities.argmax(1, keepdim=True)
    one_hot = torch.zeros_like(probabilities).scatter_(1, best, 1)
    # Zero, exactly: adding p and subtracting it again would not be.
    return one_hot + (probabilities - probabilities.detach())


def assign(logits: Tensor, tau: float | None = None) -> tuple[Tensor, Tensor]:
    """Assign each patch to a group.

    Args:
        logits: Logits of G groups and N patches, (B, G, N).
        tau: Temperature of a Gumbel-softmax that samples the group; None
            takes the most likely one.

    Returns:
        The assignment, one-hot with straight-through gradient, and the
        softmax of the logits, without noise or temperature; both (B, G, N).
    """
    soft = logits.softmax(1)
    if tau is None:
        return straight_through(soft), soft
    noisy = (logits + gumbel_noise(logits)) / tau
    return straight_through(noisy.softmax(1)), soft


def mean_values(assignment: Tensor, values: Tensor, floor: float) -> Tensor:
    """Return the mean value of each group, zero for an empty one.

    Args:
        assignment: Shares >= 0 of the patches in the groups, (B, G, N).
        values: Values of the patches, (B, D, N).
        floor: Least divisor of a group's sum; 1 for shares of 0 and 1. With
            a lower one, the gradient of an empty group has no bound.

    Returns:
        (B, G, D).
    """
    amount = assignment.sum(-1, keepdim=True)
    return assignment @ values.mT / amount.clamp(min=floor)


@MODELS.register_module()
class SemanticGroup(BaseModule):
    """Groups the patches of an image around learnable centres.

    SegCLIP, "Patch Aggregation with Learnable Centers for Open-Vocabulary
    Semantic Segmentation" (ICML 2023). The centres first attend to the
    patches of their image; then each patch is assigned to the nearest
    centre, and a group's token is its centre plus the mean of its patches.

    Each image is grouped separately. The published training mixes patches
    of the whole batch here, by a wrong axis.

    It takes any number of patches from any network, and does not depend on
    CLIP.

    Args:
        channels: Width D of the patches.
        num_centers: Number of groups G.
        num_cross_layers: Number of blocks in which the centres attend to the
            patches.
        num_heads: Number of attention heads, and of groups of the two
            projections; None for one per 64 channels.
        hard: Whether a patch belongs to one group only, or to all by its
            softmax.
        tau: Temperature of the Gumbel-softmax that samples the group of a
            patch in training; None always takes the most likely one.
        scale: Divisor of the product of a patch and a centre: None for 1, as
            published (both have length sqrt(D), so the softmax is nearly
            one-hot from the start), or ``'sqrt_dim'``.
        with_centers: Whether the centres attend to each other, too.
        init_cfg: Initialisation of the module.

    Raises:
        ValueError: A value is not allowed.
    """

    def __init__(
        self,
        channels: int,
        *,
        num_centers: int = 8,
        num_cross_layers: int = 2,
        num_heads: int | None = None,
        hard: bool = True,
        tau: float | None = 0.9,
        scale: str | None = None,
        with_centers: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        heads = num_heads or max(1, channels // 64)
        if scale not in SCALES:
            raise ValueError(f'scale={scale!r} must be one of {SCALES}')
        if tau is not None and not tau > 0:
            raise ValueError(f'tau={tau} must be above 0')
        if num_centers < 1 or channels % heads:
            raise ValueError(
                f'num_centers={num_centers} must be at least 1, and channels='
                f'{channels} a multiple of the number of heads ({heads})'
            )
        self.hard = hard
        self.tau = tau
        self.divisor = channels**0.5 if scale else 1.0
        self.centers = nn.Parameter(torch.empty(num_centers, channels))
        self.blocks = nn.ModuleList(
            CenterBlock(channels, heads, with_centers=with_centers)
            for _ in range(num_cross_layers)
        )
        self.center_norm = nn.LayerNorm(channels)
        self.patch_norm = nn.LayerNorm(channels)
        self.key = nn.Conv1d(channels, channels, 1, groups=heads, bias=False)
        self.key_norm = nn.LayerNorm(channels)
        self.value = nn.Conv1d(channels, channels, 1, groups=heads, bias=False)
        self.group_norm = nn.LayerNorm(channels)
        self.group_mlp = mlp(channels, nn.GELU)
        self.activation = QuickGELU()
        nn.init.trunc_normal_(self.centers, std=STD)
        init_linear(self)

    def forward(self, patches: Tensor) -> Groups:
        """Group patches.

        Args:
            patches: Patches in any order, (B, N, D).
        """
        # Not len(patches), of which a trace would make a number.
        centers = self.centers.expand(patches.shape[0], -1, -1)
        for block in self.blocks:
            centers = block(centers, patches)
        centers = self.center_norm(centers)
        normed = self.patch_norm(patches).transpose(1, 2)
        keys = self.key_norm(self.key(normed).transpose(1, 2))
        values = self.value(normed)
        with torch.autocast(patches.device.type, enabled=False):
            # Products of up to D: in bfloat16, errors of several units.
            logits = centers.float() @ keys.float().mT / self.divisor
            hard, soft = assign(logits, self.tau if self.training else None)
            shares, floor = (hard, 1) if self.hard else (soft, SOFT_FLOOR)
            means = mean_values(shares, values.float(), floor)
        regions = centers + means
        tokens = self.activation(self.group_mlp(self.group_norm(regions)))
        return Groups(tokens=tokens, logits=logits, hard=hard, soft=soft)


@MODELS.register_module()
class SemanticGroupNeck(BaseModule):
    """Adds to each position of a feature map the token of its group.

    A neck for any backbone: the feature of a patch then also describes its
    group. The last of the maps is grouped; the others are not changed.

    Args:
        init_cfg: Initialisation of the neck.
        kwargs: Arguments of :class:`SemanticGroup`; ``channels`` is the
            width of the last map.
    """

    def __init__(self, init_cfg: dict | None = None, **kwargs) -> None:
        super().__init__(init_cfg)
        self.group = SemanticGroup(**kwargs)

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Add group tokens to the last map.

        Args:
            inputs: Feature maps, the last of shape (B, D, h, w).

        Returns:
            Maps of the same shapes.

        Raises:
            ValueError: The last map has another width.
        """
        *others, features = inputs
        channels = self.group.centers.shape[1]
        if features.shape[1] != channels:
            raise ValueError(
                f'SemanticGroupNeck has channels={channels}, but the last '
                f'feature map has {features.shape[1]}'
            )
        groups = self.group(features.flatten(2).mT)
        shares = groups.hard if self.group.hard else groups.soft
        spread = groups.tokens.mT @ shares.to(groups.tokens)
        return (*others, features + spread.unflatten(2, features.shape[2:]))
