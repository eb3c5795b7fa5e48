"""SegCLIP's grouping of patches around learnable centres."""

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from mmseg_weakclip.models.segclip.encoder import Groups

from .patch_decoder import STD, init_linear

SCALES = (None, 'sqrt_dim')
# Of softmax shares the gradient has their own size, however small.
SOFT_FLOOR = 1e-6


def mlp(channels: int, activation: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(channels, 4 * channels),
        activation(),
        nn.Linear(4 * channels, channels),
    )


class CenterBlock(nn.Module):
    """Centres look at the patches of their image.

    ``q + MHA(LN q, LN [q; X])``, then ``q + MLP(LN q)``.

    Args:
        channels: D.
        num_heads: Of the attention.
        with_centers: Whether the centres look at each other, too.
    """

    def __init__(
        self, channels: int, num_heads: int, with_centers: bool
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
        """(B, G, D) and (B, N, D) -> (B, G, D)."""
        seen = patches
        if self.with_centers:
            seen = torch.cat([centers, patches.to(centers.dtype)], 1)
        keys = self.key_norm(seen)
        mixed, _ = self.attention(
            self.query_norm(centers), keys, keys, need_weights=False
        )
        centers = centers + mixed
        return centers + self.mlp(self.mlp_norm(centers))


@MODELS.register_module()
class SemanticGroup(BaseModule):
    """Groups the patches of an image around learnable centres.

    SegCLIP, "Patch Aggregation with Learnable Centers for Open-Vocabulary
    Semantic Segmentation" (ICML 2023). The centres first look at the
    patches of their image; then each patch goes to the centre nearest to it,
    and a group's token is its centre and the mean value of its patches.

    Each image is grouped for itself. The published training mixes patches
    of the whole batch here, by an axis out of place.

    Any number of patches from any network will do; there is nothing of CLIP
    in it.

    Args:
        channels: D, of the patches.
        num_centers: G.
        num_cross_layers: How many times the centres look at the patches.
        num_heads: Of that, and groups of the two projections; None has one
            for 64 channels.
        hard: Whether a patch belongs to one group only. If not, to each by
            its softmax.
        tau: Temperature of the Gumbel-softmax by which training draws the
            group of a patch; None always takes the most likely one.
        scale: What the product of a patch and a centre is divided by: None,
            as published (both have length sqrt(D), so the softmax is nearly
            one-hot from the start), or ``'sqrt_dim'``.
        with_centers: Whether the centres look at each other, too.

    Raises:
        ValueError: A value is not allowed.
    """

    def __init__(
        self,
        channels: int,
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
            CenterBlock(channels, heads, with_centers)
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
            patches: (B, N, D), in any order.
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
            # Products of up to D: bfloat16 is off by several there.
            logits = centers.float() @ keys.float().mT / self.divisor
            hard, soft = assign(logits, self.tau if self.training else None)
            shares, floor = (hard, 1) if self.hard else (soft, SOFT_FLOOR)
            means = mean_values(shares, values.float(), floor)
        regions = centers + means
        tokens = self.activation(self.group_mlp(self.group_norm(regions)))
        return Groups(tokens=tokens, logits=logits, hard=hard, soft=soft)


def mean_values(assignment: Tensor, values: Tensor, floor: float) -> Tensor:
    """Mean value of each group; zero of one without patches.

    Args:
        assignment: Shares >= 0 of the patches in the groups, (B, G, N).
        values: (B, D, N).
        floor: Least amount that a group's sum is divided by. 1 for shares
            of 0 and 1: below, the gradient of an empty group, to which a
            patch might go, has no bound.

    Returns:
        (B, G, D).
    """
    amount = assignment.sum(-1, keepdim=True)
    return assignment @ values.mT / amount.clamp(min=floor)


@MODELS.register_module()
class SemanticGroupNeck(BaseModule):
    """Adds to each place of a feature map the token of its group.

    A neck for any backbone: what a head sees of a patch then also says what
    the patch belongs to. Grouped is the last of the maps; the others pass.

    Args:
        kwargs: See :class:`SemanticGroup`; ``channels`` is the width of the
            last map.
    """

    def __init__(self, init_cfg: dict | None = None, **kwargs) -> None:
        super().__init__(init_cfg)
        self.group = SemanticGroup(**kwargs)

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps, the last of them (B, D, h, w) -> the same, the last grouped.

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


def gumbel_noise(like: Tensor) -> Tensor:
    """Independent draws of a standard Gumbel distribution."""
    return -torch.empty_like(like).exponential_().log()


def straight_through(probabilities: Tensor) -> Tensor:
    """One-hot at the largest of each column, with the column's gradient.

    Args:
        probabilities: Over groups, (B, G, N).

    Returns:
        (B, G, N), of zeros and ones only; the gradient passes through to
        the probabilities. The first of several largest is taken.
    """
    best = probabilities.argmax(1, keepdim=True)
    one_hot = torch.zeros_like(probabilities).scatter_(1, best, 1)
    # Zero, exactly: adding p and subtracting it again would not be.
    return one_hot + (probabilities - probabilities.detach())


def assign(logits: Tensor, tau: float | None = None) -> tuple[Tensor, Tensor]:
    """Choose a group for each patch.

    Args:
        logits: Of G groups and N patches, (B, G, N).
        tau: Temperature of a Gumbel-softmax, from which the group is drawn;
            None takes the most likely one.

    Returns:
        The choice, one-hot with straight-through gradient, and the softmax
        of the logits, without noise or temperature; both (B, G, N).
    """
    soft = logits.softmax(1)
    if tau is None:
        return straight_through(soft), soft
    noisy = (logits + gumbel_noise(logits)) / tau
    return straight_through(noisy.softmax(1)), soft
