"""Text-pixel matching as a neck (WeakCLIP, section 3).

:class:`CoAttention` refines class texts by pixels and pixels by texts with two
stacks of transformer decoder layers; :class:`CoAttentionNeck` adds the cosines
of the two as a score map to every level of a pyramid.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_weakclip.models.clip.tokens import CLIPTokens

from .score_fpn import DeferredUpsample, Level, ScoreFPN, fit_score


class Attention(nn.Module):
    """Multi-head attention without biases on queries, keys and values."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, memory: Tensor) -> Tensor:
        """Attend from query (B, Q, D) to memory (B, M, D); (B, Q, D)."""
        q, k, v = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for x in (
                self.q_proj(query),
                self.k_proj(memory),
                self.v_proj(memory),
            )
        )
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.dropout(self.proj(mixed.transpose(1, 2).flatten(2)))


class DecoderLayer(nn.Module):
    """Pre-norm self-attention, cross-attention and MLP."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.cross_attn = Attention(width, heads, dropout)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Run the layer on x (B, Q, D) with memory (B, M, D); (B, Q, D)."""
        normed = self.norm1(x)
        x = x + self.self_attn(normed, normed)
        x = x + self.cross_attn(self.norm2(x), memory)
        return x + self.dropout(self.mlp(self.norm3(x)))


class CoAttention(BaseModule):
    """Two stacks of decoder layers: texts attend to pixels, and back.

    Args:
        embed_dim: Width E of the space that texts and pixels share.
        width: Width of the layers.
        heads: Number of attention heads.
        layers: Number of layers of each stack.
        dropout: Dropout ratio after each attention and in the MLPs.
        chained: Whether a layer gets the output of the layer before. The
            published code gives every layer the first input, so that only
            the last layer of each stack has an effect.
        init_cfg: Initialisation; truncated normal of 0.02 by default.
    """

    def __init__(
        self,
        embed_dim: int,
        *,
        width: int = 256,
        heads: int = 4,
        layers: int = 3,
        dropout: float = 0.1,
        chained: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            init_cfg or dict(type='TruncNormal', layer='Linear', std=0.02)
        )
        self.memory_proj = nn.Sequential(
            nn.LayerNorm(embed_dim),
            nn.Linear(embed_dim, width),
            nn.LayerNorm(width),
        )
        self.text_proj = nn.Sequential(
            nn.LayerNorm(embed_dim), nn.Linear(embed_dim, width)
        )
        self.decoder, self.anti_decoder = (
            nn.ModuleList(
                DecoderLayer(width, heads, dropout) for _ in range(layers)
            )
            for _ in range(2)
        )
        self.out_proj, self.anti_out_proj = (
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, embed_dim))
            for _ in range(2)
        )
        self.chained = chained

    def forward(self, text: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Run both stacks.

        Args:
            text: Embeddings of the classes, (B, K, E).
            visual: Embeddings of the class token and the pixels,
                (B, 1 + h * w, E).

        Returns:
            Changes of texts and of tokens, in their shapes.
        """
        text, visual = self.text_proj(text), self.memory_proj(visual)
        return (
            self.out_proj(self._run(self.decoder, text, visual)),
            self.anti_out_proj(self._run(self.anti_decoder, visual, text)),
        )

    def _run(self, layers: nn.ModuleList, x: Tensor, memory: Tensor) -> Tensor:
        if not self.chained:
            return layers[-1](x, memory)
        for layer in layers:
            x = layer(x, memory)
        return x


@MODELS.register_module()
class CoAttentionNeck(BaseModule):
    """Match class texts with pixels, and add the match to every level.

    Texts and pixel embeddings refine each other by co-attention; the cosine
    of the two is the score map. It is concatenated to every level of the
    pyramid, which an inner neck then mixes. ``ScoreFPN`` does both at once.

    Args:
        num_classes: Number of classes K, the rows of the text bank.
        in_channels: Channels of each incoming level.
        text: Config of a text bank.
        embed_dim: Width E of CLIP's shared space.
        co_attention: Arguments of :class:`CoAttention`.
        neck: Config of the inner neck, without ``in_channels``. None returns
            the concatenated levels.
        init_scale: Initial value of the per-channel weights of both
            refinements.
        projection: Source of the pixel embeddings: False takes those of the
            :class:`CLIPTokens` that must follow the levels; True computes
            them from the last level with a 1x1 convolution, and their mean
            replaces the class token, for backbones other than CLIP.
        init_cfg: Initialisation of the neck.

    The output is the levels of the inner neck, and the score map (B, K, h, w)
    in [-1, 1] as last element.

    Raises:
        ValueError: The text bank has another number of classes, or CLIP's
            tokens are missing.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        text: ConfigType,
        *,
        embed_dim: int = 512,
        co_attention: ConfigType | None = None,
        neck: ConfigType | None = None,
        init_scale: float = 0.1,
        projection: bool = False,
        init_cfg: ConfigType | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.text = MODELS.build(text)
        self.co_attention = CoAttention(embed_dim, **(co_attention or {}))
        self.text_scale = nn.Parameter(torch.full((embed_dim,), init_scale))
        self.visual_scale = nn.Parameter(torch.full((embed_dim,), init_scale))
        self.projection = (
            nn.Conv2d(in_channels[-1], embed_dim, 1) if projection else None
        )
        self.neck = None
        if neck is not None:
            widths = [channels + num_classes for channels in in_channels]
            self.neck = MODELS.build(dict(in_channels=widths, **neck))

    def forward(
        self, inputs: Sequence[Level | CLIPTokens]
    ) -> tuple[Tensor, ...]:
        """Return the levels of the inner neck, and the score map as last.

        Args:
            inputs: Levels of the pyramid, followed by :class:`CLIPTokens`
                unless ``projection`` is set.
        """
        levels, class_embedding, pixels = self._split(inputs)
        score = self.match(class_embedding, pixels)
        if isinstance(self.neck, ScoreFPN):
            return (*self.neck(levels, score), score)
        levels = [
            level.expand() if isinstance(level, DeferredUpsample) else level
            for level in levels
        ]
        levels = [
            torch.cat([level, fit_score(score, level)], 1) for level in levels
        ]
        if self.neck is not None:
            levels = self.neck(levels)
        return (*levels, score)

    def match(self, class_embedding: Tensor, pixels: Tensor) -> Tensor:
        """Return the score map of refined texts and pixels.

        Args:
            class_embedding: Embedding of the class token, (B, E).
            pixels: Embeddings of the pixels, (B, E, h, w).

        Returns:
            Cosines, float32, (B, K, h, w).

        Raises:
            ValueError: The text bank has another number of rows.
        """
        text = self.text()
        if len(text) != self.num_classes:
            raise ValueError(
                f'CoAttentionNeck has num_classes={self.num_classes}, but '
                f'its text bank has {len(text)} rows; names: '
                f'{self.text.names}'
            )
        # Not len(pixels), of which a trace would make a number.
        text = text.expand(pixels.shape[0], -1, -1)
        visual = torch.cat(
            [class_embedding[:, None], pixels.flatten(2).transpose(1, 2)], 1
        )
        text_change, visual_change = self.co_attention(text, visual)
        text = text + self.text_scale * text_change
        visual = (visual + self.visual_scale * visual_change)[:, 1:]
        # Cosines lose too much in half precision.
        with torch.autocast(text.device.type, enabled=False):
            score = F.normalize(text.float(), dim=-1) @ F.normalize(
                visual.float(), dim=-1
            ).transpose(1, 2)
        return score.unflatten(2, pixels.shape[-2:])

    def _split(
        self, inputs: Sequence[Level | CLIPTokens]
    ) -> tuple[Sequence[Level], Tensor, Tensor]:
        if self.projection is not None:
            levels = [x for x in inputs if isinstance(x, Tensor)]
            pixels = self.projection(levels[-1])
            return levels, pixels.mean((2, 3)), pixels
        *levels, tokens = inputs
        if not isinstance(tokens, CLIPTokens):
            raise ValueError(
                "CoAttentionNeck needs CLIP's tokens: set with_tokens=True "
                'in CLIPViT, or projection=True here for another backbone'
            )
        return levels, tokens.class_embedding, tokens.patch_embeddings
