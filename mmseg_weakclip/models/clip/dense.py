"""Dense CLIP: one option for the ways to read patches out of CLIP.

CLIP trains its class token only; its patch tokens mix places up in the last
blocks. The published remedies differ in one attention step. With h the plain
stream, V_l the values and W_l, b_l the output projection of block l, a dense
stream is

    y = residual * h_{L-n} + sum over the last n blocks of (A_l V_l W_l + b_l)

The step is linear in A: adding one relation R to every head's map adds
``R @ U``, where U is the sum of V_l W_l (times the number of heads when heads
are summed). So a relation learned or borrowed elsewhere needs no second pass
through CLIP; see :class:`DenseStream`.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .vision import Projected, merge_heads

TERMS = {
    'qk': ('query', 'key'),
    'qq': ('query', 'query'),
    'kk': ('key', 'key'),
    'vv': ('value', 'value'),
}


@dataclass(frozen=True)
class DenseAttention:
    """One row of the table of dense paths.

    Args:
        layers: Number n of last blocks that take part.
        terms: Similarities whose softmaxes make the map A: any of ``'qk'``,
            ``'qq'``, ``'kk'``, ``'vv'`` and ``'identity'``.
        norm: Whether the terms are averaged (``'mean'``) or added
            (``'sum'``).
        heads: ``'keep'`` one map per head, or one map for all heads,
            ``'mean'`` or ``'sum'`` of theirs.
        residual: Whether y starts from h_{L-n} or from zero.
    """

    layers: int = 1
    terms: tuple[str, ...] = ('qk',)
    norm: str = 'mean'
    heads: str = 'keep'
    residual: bool = True

    def __post_init__(self) -> None:
        known = (*TERMS, 'identity')
        if not self.terms or not set(self.terms) <= set(known):
            raise ValueError(f'terms={self.terms} must be some of {known}')
        if self.norm not in ('mean', 'sum'):
            raise ValueError(f"norm={self.norm!r} must be 'mean' or 'sum'")
        if self.heads not in ('keep', 'mean', 'sum'):
            raise ValueError(
                f"heads={self.heads!r} must be 'keep', 'mean' or 'sum'"
            )
        if self.layers < 1:
            raise ValueError(f'layers={self.layers} must be at least 1')

    def update(
        self, block: nn.Module, qkv: Projected
    ) -> tuple[Tensor, Tensor]:
        """What one block adds to the dense stream.

        Args:
            block: A residual attention block of open_clip.
            qkv: Its projected tokens.

        Returns:
            A V W + b and V W, both (B, N, D).
        """
        out = block.attn.out_proj
        values = F.linear(merge_heads(qkv.value), out.weight)
        if self.heads == 'keep':
            mixed = F.linear(self._mix_per_head(qkv), out.weight)
        else:
            mixed = self._shared_map(qkv).to(values.dtype) @ values
        return block.ls_1(mixed + out.bias), block.ls_1(values)

    def _weights(self) -> float:
        return 1 / len(self.terms) if self.norm == 'mean' else 1.0

    def _mix_per_head(self, qkv: Projected) -> Tensor:
        """A V with one map per head, the maps never made; (B, N, D)."""
        mixed = torch.zeros_like(qkv.value)
        for term in self.terms:
            if term == 'identity':
                mixed = mixed + qkv.value
            else:
                left, right = (getattr(qkv, name) for name in TERMS[term])
                mixed = mixed + F.scaled_dot_product_attention(
                    left, right, qkv.value
                )
        return merge_heads(mixed * self._weights())

    def _shared_map(self, qkv: Projected) -> Tensor:
        """One map for all heads, (B, N, N)."""
        heads, tokens, width = qkv.value.shape[1:]
        total = qkv.value.new_zeros(
            len(qkv.value), tokens, tokens, dtype=torch.float32
        )
        for term in self.terms:
            if term == 'identity':
                total += heads * torch.eye(tokens, device=total.device)
                continue
            left, right = (getattr(qkv, name) for name in TERMS[term])
            scores = width**-0.5 * left @ right.transpose(-1, -2)
            total += scores.float().softmax(-1).sum(1)
        total *= self._weights()
        return total if self.heads == 'sum' else total / heads


PRESETS: dict[str, DenseAttention] = {
    # Zhou et al., ECCV 2022: the value path of the last block.
    'maskclip': DenseAttention(terms=('identity',), residual=False),
    # ExCEL, CVPR 2025, static visual calibration: q-q, k-k and v-v of the
    # last five blocks averaged, then the heads' maps summed into one.
    'excel': DenseAttention(layers=5, terms=('qq', 'kk', 'vv'), heads='sum'),
}


def build_dense(dense: str | dict | None) -> DenseAttention | None:
    """A preset by name, a row spelt out, or ``None`` for plain CLIP.

    A row may start from a preset: ``dict(preset='excel', layers=3)``.

    Raises:
        ValueError: There is no such preset, or a value is not allowed.
    """
    if dense is None:
        return None
    options = {'preset': dense} if isinstance(dense, str) else dict(dense)
    name = options.pop('preset', None)
    if name is not None and name not in PRESETS:
        raise ValueError(
            f'no dense preset {name!r}; there are '
            f'{sorted(PRESETS)}, or spell out the arguments'
        )
    base = vars(PRESETS[name]) if name else {}
    if 'terms' in options:
        options['terms'] = tuple(options['terms'])
    return DenseAttention(**{**base, **options})


class DenseStream:
    """Collects the dense stream while the plain one runs.

    Attributes:
        y: The dense stream, (B, N, D), before the final norm.
        values: U, (B, N, D): adding R to every head's map of every block
            that takes part makes the stream ``y + heads * R @ values``.
    """

    def __init__(self, dense: DenseAttention, depth: int) -> None:
        if dense.layers > depth:
            raise ValueError(
                f'dense layers={dense.layers}, but the tower '
                f'has {depth} blocks'
            )
        self.dense = dense
        self.first = depth - dense.layers
        self.y: Tensor | None = None
        self.values: Tensor | None = None

    def visit(
        self, index: int, block: nn.Module, x: Tensor, qkv: Projected
    ) -> None:
        """Take what block ``index`` adds.

        Args:
            index: Number of the block, from 0.
            block: The block.
            x: What came into it, (B, N, D).
            qkv: Its projected tokens.
        """
        if index < self.first:
            return
        update, values = self.dense.update(block, qkv)
        if index == self.first:
            self.y = x + update if self.dense.residual else update
            self.values = values
        else:
            self.y = self.y + update
            self.values = self.values + values

    def finish(self, x: Tensor) -> Tensor:
        """The dense stream with the class token of the plain one.

        Args:
            x: Output of the last block, (B, N, D).
        """
        return torch.cat([x[:, :1], self.y[:, 1:]], 1)
