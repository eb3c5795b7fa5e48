"""Attention of the dense path: values mixed by the maps of its options."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.models.clip.similarity import (
    centred_rows,
    positive_softmax,
    restrict_to_regions,
    row_parts,
    sum_attention,
)
from mmseg_weakclip.models.clip.towers.block import (
    AttentionBlock,
    Projected,
    merge_heads,
)

from .attention import SIMILARITIES, DenseAttention
from .token_layout import (
    gaussian_rows,
    hide_class_token,
    token_places,
    token_regions,
)

# Affinity of some patches to all, from their features; the index of the first
# and the number of windows follow. See ``TimmAffinity.relate``.
Relate = Callable[[Tensor, Tensor, int, int], Tensor]


class DenseMixer:
    """Mixes values by the maps of a dense path.

    The tokens are those of one image, or of its W windows one after the
    other, N = W * (prefix + h * w), which attend to each other.

    Args:
        dense: Options of the dense path.
        grid: Rows and columns (h, w) of patches of a window.
        affinity: See :class:`DenseStream`.
        relate: See :class:`DenseStream`.
        regions: See :class:`DenseStream`.
        prefix: Number of tokens before the patches of a window.
    """

    def __init__(
        self,
        dense: DenseAttention,
        grid: tuple[int, int],
        affinity: tuple[Tensor, tuple[int, int]] | None,
        relate: Relate | None,
        regions: Tensor | None,
        prefix: int,
    ) -> None:
        self.dense = dense
        self.grid = grid
        self.dense_grid = grid
        self.prefix = prefix
        self.relate = _relate_own if dense.own_block else relate
        self.affinity: Tensor | None = None
        if affinity is not None:
            self.affinity, self.dense_grid = affinity
        self.scope: Tensor | None = None
        if regions is not None:
            self.scope = token_regions(regions, self.dense_grid, prefix)
        # Row and column of the first patch of each window, in patches.
        self.offsets: Sequence[tuple[float, float]] = ((0.0, 0.0),)
        self.places: Tensor | None = None
        # Outputs of blocks, by their number from 1, that an option names.
        self.seen: dict[int, Tensor] = {}
        # Queries and keys of the terms 'attention:a-b', by block from 1.
        self.attended: dict[int, tuple[Tensor, Tensor]] = {}

    def project(self, block: AttentionBlock, normed: Tensor) -> Projected:
        """Return queries, keys and values of a block, (B, H, N, d).

        Windows are apart there, since a block may have rotary positions.
        """
        parts = block.project(self.apart(normed))
        return Projected(
            *(
                self.together(part.transpose(1, 2)).transpose(1, 2)
                for part in parts
            )
        )

    def attend(
        self, block: AttentionBlock, normed: Tensor, qkv: Projected
    ) -> tuple[Tensor, Tensor | None]:
        """Return what a block's attention adds, (B, N, D), and its values.

        The values, (B, N, D), are those of ``AttentionBlock.linear_values``;
        None where the block is not linear in its attention.
        """
        if self.dense_grid != self.grid:
            qkv = qkv._replace(value=self._regrid(qkv.value))
        if self.dense.heads == 'keep':
            mixed = self._mix_per_head(qkv, normed)
        else:
            values = merge_heads(qkv.value)
            mixed = torch.cat(
                [
                    self._shared_map(qkv, normed, rows).to(values.dtype)
                    @ values
                    for rows in row_parts(qkv.value, len(self.offsets))
                ],
                1,
            )
        return block.update(mixed), block.linear_values(qkv.value)

    def _regrid(self, value: Tensor) -> Tensor:
        """Resize the values of all tokens to the grid of the affinity."""
        tokens = self.apart(value.transpose(1, 2))  # (B * W, N, H, d)
        first, patches = tokens[:, : self.prefix], tokens[:, self.prefix :]
        maps = patches.flatten(2).transpose(1, 2).unflatten(2, self.grid)
        resized = F.interpolate(maps, self.dense_grid, mode='bilinear')
        resized = resized.flatten(2).transpose(1, 2)
        resized = resized.unflatten(2, tokens.shape[2:])
        whole = self.together(torch.cat([first, resized], 1))
        return whole.transpose(1, 2)

    def _mix_per_head(self, qkv: Projected, normed: Tensor) -> Tensor:
        """Return A V with one map per head, (B, N, D).

        Maps of similarities are never held in memory, but for some rows of
        tokens that see their region only.
        """
        value = qkv.value
        mixed = torch.zeros_like(value)
        for term, weight in zip(self.dense.terms, self.dense.term_weights):
            if term == 'identity':
                part = value
            elif term == 'affinity':
                part = torch.cat(
                    [
                        self._affinity_rows(rows)[:, None].to(value.dtype)
                        @ value
                        for rows in row_parts(value, len(self.offsets))
                    ],
                    2,
                )
            elif term in SIMILARITIES:
                left, right = self._compared(term, qkv, normed)
                part = torch.cat(
                    [
                        self._softmax_values(left, right, value, rows)
                        for rows in row_parts(value, len(self.offsets))
                    ],
                    2,
                )
            else:
                part = self._earlier_attention(term, value)
            mixed = mixed + weight * part
        return merge_heads(mixed)

    def _softmax_values(
        self,
        left: Tensor,
        right: Tensor,
        value: Tensor,
        rows: slice,
        *,
        biased: bool = True,
    ) -> Tensor:
        """Return some rows of softmax(left right^T) V, (B, H, n, d)."""
        bias = self._bias(value, rows) if biased else None
        if self.scope is None:
            return F.scaled_dot_product_attention(
                left[:, :, rows], right, value, attn_mask=bias, scale=1.0
            )
        scores = (left[:, :, rows] @ right.transpose(2, 3)).float()
        if bias is not None:
            scores = scores + bias
        scores = restrict_to_regions(
            scores, self.scope[:, None, rows], self.scope[:, None]
        )
        return scores.softmax(-1).to(value.dtype) @ value

    def _earlier_attention(self, term: str, value: Tensor) -> Tensor:
        """Return CLIP's attention in earlier blocks times V, in windows."""
        first, last = map(int, term.partition(':')[2].split('-'))
        windows = len(self.offsets)
        values = value.unflatten(2, (windows, -1))
        scope = self.scope
        if scope is not None:
            scope = scope.unflatten(1, (windows, -1))[:, None]
        mask = self._class_bias(value)
        total: Tensor | float = 0.0
        for number in range(first, last + 1):
            left, right = (
                tensor.unflatten(2, (windows, -1))
                for tensor in self.attended[number]
            )
            if scope is None:
                total = total + F.scaled_dot_product_attention(
                    left, right, values, attn_mask=mask, scale=1.0
                )
                continue
            scores = (left @ right.transpose(3, 4)).float()
            if mask is not None:
                scores = scores + mask
            scores = restrict_to_regions(scores, scope, scope)
            total = total + scores.softmax(-1).to(value.dtype) @ values
        return total.flatten(2, 3) / (last + 1 - first)

    def _shared_map(
        self, qkv: Projected, normed: Tensor, rows: slice
    ) -> Tensor:
        """Return rows of one map for all heads, (B, n, N), float32."""
        batch, heads, tokens, _ = qkv.value.shape
        count = rows.stop - rows.start
        total = qkv.value.new_zeros(batch, count, tokens, dtype=torch.float32)
        for term, weight in zip(self.dense.terms, self.dense.term_weights):
            if term == 'identity':
                every = torch.arange(tokens, device=total.device)
                part = heads * (every[rows, None] == every)
            elif term == 'affinity':
                part = heads * self._affinity_rows(rows).float()
            else:
                left, right = self._compared(term, qkv, normed)
                scope = self.scope
                part = sum_attention(
                    left[:, :, rows],
                    right,
                    self._bias(total, rows),
                    None if scope is None else (scope[:, rows], scope),
                )
            total += weight * part
        return total if self.dense.heads == 'sum' else total / heads

    def _affinity_rows(self, rows: slice) -> Tensor:
        """Return rows of the affinity of all tokens, (B, n, N).

        Tokens before the patches are related to themselves only.
        """
        windows, prefix = len(self.offsets), self.prefix
        source = self.affinity
        if self.dense.own_block:
            own = self.apart(self.seen[self.dense.own_block])
            source = self.together(own[:, prefix:])
        per_window = source.shape[1] // windows
        length = prefix + per_window
        tokens = torch.arange(rows.start, rows.stop, device=source.device)
        place = tokens % length
        is_patch = place >= prefix
        patch = tokens // length * per_window + (place - prefix).clamp(min=0)
        if self.relate is None:
            maps = source[:, patch]
        else:
            # Consecutive patches, whatever tokens are between them.
            first, last = (
                token // length * per_window + max(0, token % length - prefix)
                for token in (rows.start, rows.stop - 1)
            )
            maps = self.relate(
                source[:, first : last + 1], source, first, windows
            )[:, patch - first]
        maps = F.pad(
            maps.unflatten(2, (windows, per_window)), (prefix, 0)
        ).flatten(2)
        itself = tokens[:, None] == torch.arange(
            windows * length, device=source.device
        )
        maps = torch.where(is_patch[:, None], maps, itself.to(maps.dtype))
        if self.scope is None:
            return maps
        # A softmax of logarithms within a region is that of the scores.
        scores = restrict_to_regions(
            maps.log(), self.scope[:, rows], self.scope
        )
        # A patch that is like none of its region sees itself.
        alone = ~scores.isfinite().any(-1, keepdim=True) & itself
        return scores.masked_fill(alone, 0).softmax(-1)

    def _bias(self, like: Tensor, rows: slice) -> Tensor | None:
        """Return what is added to the scores of some rows, (n, N)."""
        if self.dense.window is None and self.dense.class_token:
            return None
        if self.places is None:
            self.places = token_places(
                self.offsets, self.dense_grid, self.prefix, like.device
            )
        places = self.places
        bias = torch.zeros((), device=like.device)
        if self.dense.window is not None:
            bias = gaussian_rows(places[rows], places, self.dense.window)
        if not self.dense.class_token:
            bias = bias + hide_class_token(places[rows], places)
        return bias.to(like.dtype)

    def _class_bias(self, like: Tensor) -> Tensor | None:
        """Return the bias that hides the class token in one window."""
        if self.dense.class_token:
            return None
        places = token_places(
            [(0.0, 0.0)], self.dense_grid, self.prefix, like.device
        )
        return hide_class_token(places, places).to(like.dtype)

    def _compared(
        self, term: str, qkv: Projected, normed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return two (B, H, N, d) whose products are the scores of a term."""
        named = dict(q=qkv.query, k=qkv.key, v=qkv.value)
        left, right = (named[letter] for letter in term)
        sharpness = self._sharpness(qkv, normed)
        if self.dense.unit_length:
            left, right = F.normalize(left, dim=-1), F.normalize(right, dim=-1)
        for _ in range(self.dense.iterations):
            parts = [
                self._softmax_values(
                    left * sharpness, left, left, rows, biased=False
                )
                for rows in row_parts(left, len(self.offsets))
            ]
            left = torch.cat(parts, 2)
            if self.dense.unit_length:
                left = F.normalize(left, dim=-1)
            right = left
        return left * sharpness, right

    def _sharpness(self, qkv: Projected, normed: Tensor) -> Tensor | float:
        """Return 1 / T."""
        own = qkv.value.shape[-1] ** -0.5
        if self.dense.temperature is None:
            return own
        if self.dense.temperature == 'adaptive':
            length = normed.float().norm(dim=-1).mean(-1)
            return (own * length)[:, None, None, None].to(qkv.value.dtype)
        return 1 / self.dense.temperature

    def apart(self, tokens: Tensor) -> Tensor:
        """Arrange (B, W * N, ...) as (B * W, N, ...)."""
        return tokens.unflatten(1, (len(self.offsets), -1)).flatten(0, 1)

    def together(self, tokens: Tensor) -> Tensor:
        """Arrange (B * W, N, ...) as (B, W * N, ...)."""
        return tokens.unflatten(0, (-1, len(self.offsets))).flatten(1, 2)


def _relate_own(
    rows: Tensor, everything: Tensor, first: int, windows: int
) -> Tensor:
    """Relate CLIP's own tokens as SC-CLIP does, (B, n, M)."""
    return positive_softmax(centred_rows(rows, everything), first)
