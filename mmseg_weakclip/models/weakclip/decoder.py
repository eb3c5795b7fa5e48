"""Co-attention between class texts and pixels (WeakCLIP, section 3)."""

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention without biases on queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, query: Tensor, memory: Tensor) -> Tensor:
        """(B, Q, D) looks at (B, M, D) -> (B, Q, D)."""
        q, k, v = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for x in (
                self.q_proj(query),
                self.k_proj(memory),
                self.v_proj(memory),
            )
        )
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    """Pre-norm self-attention, cross-attention and MLP."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.cross_attn = Attention(width, heads)
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
        """(B, Q, D), (B, M, D) -> (B, Q, D)."""
        normed = self.norm1(x)
        x = x + self.self_attn(normed, normed)
        x = x + self.cross_attn(self.norm2(x), memory)
        return x + self.dropout(self.mlp(self.norm3(x)))


class CoAttention(BaseModule):
    """Two stacks of decoder layers: texts look at pixels, pixels at texts.

    Args:
        embed_dim: Width E of the space that texts and pixels share.
        width: Width inside.
        heads: Attention heads.
        layers: Layers of each stack.
        dropout: In the MLPs.
        chained: Whether a layer takes the output of the one before it. The
            published code feeds every layer the first input, so that all
            but the last layer of each stack are dead.
    """

    def __init__(
        self,
        embed_dim: int,
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
        """Compare texts and pixels both ways.

        Args:
            text: (B, K, E).
            visual: Class token first, (B, 1 + h * w, E).

        Returns:
            What to add to texts and to tokens, in their shapes.
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
