"""Dense stream of CLIP, computed while the plain one runs."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .dense import DenseAttention
from .similarity import sum_attention
from .towers.block import AttentionBlock, Projected, merge_heads


def gaussian_window(
    grid: tuple[int, int], std: float, device: torch.device, prefix: int = 1
) -> Tensor:
    """Return exp(-distance^2 / (2 std^2)) of all pairs of patches.

    Args:
        grid: Rows and columns (h, w) of patches.
        std: Standard deviation in patches.
        device: Device of the result.
        prefix: Number of tokens before the patches.

    Returns:
        (prefix + h * w, prefix + h * w); zero in the rows and columns of the
        tokens before the patches.
    """

    def along(length: int) -> Tensor:
        place = torch.arange(length, device=device, dtype=torch.float32)
        return (-((place[:, None] - place) ** 2) / (2 * std**2)).exp()

    rows, columns = map(along, grid)
    window = torch.einsum('ij,kl->ikjl', rows, columns)
    return F.pad(window.flatten(2).flatten(0, 1), (prefix, 0, prefix, 0))


class DenseStream:
    """Computes the dense stream while the plain one runs.

    Args:
        dense: Options of the dense path.
        depth: Number of blocks of the tower.
        grid: Rows and columns (h, w) of patches.
        affinity: Map of another model, (B, n * m, n * m), for the term
            ``'affinity'``, and its grid (n, m). Tokens before the patches
            are related to themselves only.
        prefix: Number of tokens before the patches, such as a class token.

    Attributes:
        y: The dense stream, (B, N, D), before the final norm.
        dense_grid: Rows and columns of the stream: the grid of the affinity,
            or ``grid``.
        values: U, (B, N, D): adding R to every head's map in each of the
            blocks changes the stream to ``y + value_scale * R @ values``.
            None with a feed-forward part or a norm behind the attention,
            which are not linear, and on another grid than CLIP's.
        value_scale: Number of heads if their maps are summed, else 1.
    """

    def __init__(
        self,
        dense: DenseAttention,
        depth: int,
        grid: tuple[int, int],
        affinity: tuple[Tensor, tuple[int, int]] | None = None,
        prefix: int = 1,
    ) -> None:
        self.dense = dense
        self.prefix = prefix
        self.first = depth - dense.layers
        self.grid = grid
        self.dense_grid = grid
        self.affinity = None
        if affinity is not None:
            maps, self.dense_grid = affinity
            self.affinity = F.pad(maps, (prefix, 0, prefix, 0))
            self.affinity[:, range(prefix), range(prefix)] = 1
        if self.dense_grid != grid:
            self._check_alone()
        self.window: Tensor | None = None
        self.y: Tensor | None = None
        self.values: Tensor | None = None
        self.value_scale = 1

    def update(
        self,
        index: int,
        block: AttentionBlock,
        x: Tensor,
        normed: Tensor,
        qkv: Projected,
    ) -> None:
        """Add the contribution of block ``index``.

        Args:
            index: Number of the block, from 0.
            block: The block.
            x: Input of the block, (B, N, D).
            normed: The input after the first norm of the block, (B, N, D).
            qkv: Queries, keys and values of ``normed``.
        """
        if index < self.first:
            return
        if self.dense.heads == 'sum':
            self.value_scale = block.heads
        if self.dense_grid != self.grid:
            qkv = qkv._replace(value=self._regrid(qkv.value))
        if self.dense.heads == 'keep':
            mixed = self._mix_per_head(qkv, normed)
        else:
            values = merge_heads(qkv.value)
            mixed = self._shared_map(qkv, normed).to(values.dtype) @ values
        update, linear = block.update(mixed), block.linear_values(qkv.value)
        if index == self.first:
            self.y = x + update if self.dense.residual else update
            self.values = linear
        else:
            self.y = self.y + update
            if linear is not None:
                self.values = self.values + linear
        if self.dense.ffn:
            self.y = self.y + block.feed_forward(self.y)
        if self.dense.ffn or self.dense_grid != self.grid:
            self.values = None

    def output(self, x: Tensor) -> Tensor:
        """Return the dense stream with the first tokens of the plain one.

        Args:
            x: Output of the last block, (B, N, D).
        """
        return torch.cat(
            [x[:, : self.prefix], self.y[:, self.prefix :].to(x.dtype)], 1
        )

    def _check_alone(self) -> None:
        dense = self.dense
        if dense.terms != ('affinity',) or dense.residual or dense.layers > 1:
            raise ValueError(
                f'an affinity on {self.dense_grid} patches, CLIP has '
                f'{self.grid}, with terms={dense.terms}, residual='
                f"{dense.residual}, layers={dense.layers}: beside CLIP's own "
                'it must be on its grid (grid="clip" in TimmAffinity)'
            )

    def _regrid(self, value: Tensor) -> Tensor:
        """Resize the values of all tokens to the grid of the affinity."""
        patches = (
            value[:, :, self.prefix :].transpose(2, 3).unflatten(3, self.grid)
        )
        resized = F.interpolate(
            patches.flatten(1, 2), self.dense_grid, mode='bilinear'
        )
        resized = resized.flatten(2).unflatten(1, patches.shape[1:3])
        return torch.cat(
            [value[:, :, : self.prefix], resized.transpose(2, 3)], 2
        )

    def _mix_per_head(self, qkv: Projected, normed: Tensor) -> Tensor:
        """Return A V with one map per head, (B, N, D).

        Maps of similarities are never held in memory.
        """
        mixed = torch.zeros_like(qkv.value)
        for term in self.dense.terms:
            if term == 'identity':
                mixed = mixed + qkv.value
            elif term == 'affinity':
                shared = self.affinity[:, None].to(qkv.value.dtype)
                mixed = mixed + shared @ qkv.value
            else:
                left, right = self._compared(term, qkv, normed)
                mixed = mixed + F.scaled_dot_product_attention(
                    left,
                    right,
                    qkv.value,
                    attn_mask=self._window(left),
                    scale=1.0,
                )
        return merge_heads(mixed * self._weight)

    def _shared_map(self, qkv: Projected, normed: Tensor) -> Tensor:
        """Return one map for all heads, (B, N, N), float32."""
        batch, heads, tokens, _ = qkv.value.shape
        total = qkv.value.new_zeros(batch, tokens, tokens, dtype=torch.float32)
        for term in self.dense.terms:
            if term == 'identity':
                total += heads * torch.eye(tokens, device=total.device)
            elif term == 'affinity':
                total += heads * self.affinity.float()
            else:
                left, right = self._compared(term, qkv, normed)
                total += sum_attention(left, right, self._window(total))
        total *= self._weight
        return total if self.dense.heads == 'sum' else total / heads

    @property
    def _weight(self) -> float:
        return 1 / len(self.dense.terms) if self.dense.norm == 'mean' else 1.0

    def _window(self, like: Tensor) -> Tensor | None:
        if self.dense.window is None:
            return None
        if self.window is None:
            self.window = gaussian_window(
                self.grid, self.dense.window, like.device, self.prefix
            )
        return self.window.to(like.dtype)

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
            left = F.scaled_dot_product_attention(
                left * sharpness, left, left, scale=1.0
            )
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
