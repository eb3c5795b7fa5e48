"""Dense stream of CLIP, computed while the plain one runs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_weakclip.models.clip.towers.block import AttentionBlock, Projected

from .attention import DenseAttention
from .mixer import DenseMixer, Relate
from .token_layout import join_windows
from .token_repair import find_outliers, repair_tokens, smooth_tokens


class DenseStream(DenseMixer):
    """Computes the dense stream while the plain one runs.

    In the last block, the tokens may be those of several windows of each
    image, one after the other, which then attend to each other; see
    :func:`encode_windows`.

    Args:
        dense: Options of the dense path.
        depth: Number of blocks of the tower.
        grid: Rows and columns (h, w) of patches.
        affinity: Map of another model, (B, n * m, n * m), for the term
            ``'affinity'``, and its grid (n, m); or its features,
            (B, n * m, C), and the grid. Tokens before the patches are related
            to themselves only.
        relate: Function from features to affinities, if ``affinity`` has
            features.
        regions: Region of each pixel of the images, -1 for none, (B, H, W):
            patches then see those of their region only, see
            :func:`restrict_to_regions`; they are smoothed and repaired by
            those alone as well. Which tokens are outliers is still found
            among all of an image: the share of outliers, and what is usual,
            are the image's. None lets all see all.
        prefix: Number of tokens before the patches, such as a class token.

    Attributes:
        y: The dense stream, (B, N, D), before the final norm.
        dense_grid: Rows and columns of the stream: the grid of the affinity,
            or ``grid``.
        values: U, (B, N, D): adding R to every head's map in each of the
            blocks changes the stream to ``y + value_scale * R @ values``.
            None where the stream is not linear in the map, as with a
            feed-forward part or a norm behind the attention, and on another
            grid than CLIP's.
        value_scale: Number of heads if their maps are summed, else 1.
    """

    def __init__(
        self,
        dense: DenseAttention,
        depth: int,
        grid: tuple[int, int],
        affinity: tuple[Tensor, tuple[int, int]] | None = None,
        *,
        relate: Relate | None = None,
        regions: Tensor | None = None,
        prefix: int = 1,
    ) -> None:
        super().__init__(dense, grid, affinity, relate, regions, prefix)
        self.first = depth - dense.layers
        if self.dense_grid != grid:
            self._check_alone()
        if dense.class_share and not prefix:
            raise ValueError(
                f'class_share={dense.class_share} adds the class token, which '
                'this CLIP does not have: set class_share=0'
            )
        self.y: Tensor | None = None
        self.values: Tensor | None = None
        self.value_scale = 1

    def join(
        self,
        others: Sequence['DenseStream'],
        offsets: Sequence[tuple[float, float]],
    ) -> None:
        """Take the streams of further windows into this one, before the end.

        All streams have the windows of the same B images, window after
        window, (w * B, ...). Here they become (B, W * N, ...).

        Args:
            others: Streams of the windows that follow.
            offsets: Row and column of the first patch of each window, in
                patches.
        """
        self.offsets, self.values = tuple(offsets), None
        streams = [self, *others]

        def joined(tensors: list[Tensor]) -> Tensor:
            return join_windows(torch.cat(tensors), len(offsets))

        def joined_heads(tensors: list[Tensor]) -> Tensor:
            # (w * B, H, N, d) by way of (w * B, N, H, d).
            whole = joined([t.transpose(1, 2) for t in tensors])
            return whole.transpose(1, 2)

        self.attended = {
            block: (
                joined_heads([s.attended[block][0] for s in streams]),
                joined_heads([s.attended[block][1] for s in streams]),
            )
            for block in self.attended
        }
        self.seen = {
            block: joined([s.seen[block] for s in streams])
            for block in self.seen
        }
        for name in ('y', 'affinity', 'scope'):
            if getattr(self, name) is not None:
                tensors = [getattr(stream, name) for stream in streams]
                setattr(self, name, joined(tensors))

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
        self._remember(index, x, qkv)
        if index < self.first:
            return
        if self.dense.heads == 'sum':
            self.value_scale = block.heads
        if self.dense.changes_tokens:
            self.y, self.values = self._passes(block, x), None
        else:
            update, values = self.attend(block, normed, qkv)
            if index == self.first:
                self.y = x + update if self.dense.residual else update
                self.values = values
            else:
                self.y = self.y + update
                if self.values is not None and values is not None:
                    self.values = self.values + values
        if self.dense.ffn:
            self.y = self.y + block.feed_forward(self.y)
        if (
            self.dense.ffn
            or self.dense_grid != self.grid
            or self.scope is not None
            or len(self.offsets) > 1
        ):
            self.values = None

    def output(self, x: Tensor) -> Tensor:
        """Return the dense stream with the first tokens of the plain one.

        Args:
            x: Output of the last block, (B, N, D).
        """
        first = self.apart(x)[:, : self.prefix]
        patches = self.apart(self.y)[:, self.prefix :].to(x.dtype)
        return self.together(torch.cat([first, patches], 1))

    def _check_alone(self) -> None:
        dense = self.dense
        if dense.terms != ('affinity',) or dense.residual or dense.layers > 1:
            raise ValueError(
                f'an affinity on {self.dense_grid} patches, CLIP has '
                f'{self.grid}, with terms={dense.terms}, residual='
                f"{dense.residual}, layers={dense.layers}: beside CLIP's own "
                'it must be on its grid (grid="clip" in TimmAffinity)'
            )
        if dense.repair or dense.smooth or dense.class_share:
            raise ValueError(
                f'an affinity on {self.dense_grid} patches, CLIP has '
                f'{self.grid}, with repair, smooth or class_share: it must be '
                "on CLIP's grid (grid='clip' in TimmAffinity)"
            )

    def _remember(self, index: int, x: Tensor, qkv: Projected) -> None:
        """Keep what an option names of the blocks before the last."""
        dense = self.dense
        wanted = {dense.own_block}
        if dense.smooth:
            wanted.update(dense.smooth.get(k) for k in ('before', 'after'))
        if dense.fuse:
            wanted.update(range(dense.fuse[0], dense.fuse[1] + 1))
        if index in wanted:
            self.seen.setdefault(index, x)
        if index + 1 in dense.attention_blocks:
            scaled = qkv.query * qkv.query.shape[-1] ** -0.5
            self.attended[index + 1] = scaled, qkv.key

    def _passes(self, block: AttentionBlock, x: Tensor) -> Tensor:
        """Return the attention of SC-CLIP's passes, (B, N, D)."""
        dense = self.dense
        grid, prefix = self.grid, self.prefix
        tokens = self.apart(x)
        scope = None
        if self.scope is not None:
            scope = self.apart(self.scope)[:, prefix:]
        seen = {key: self.apart(value) for key, value in self.seen.items()}
        # Fused blocks are as they were before the repair.
        fused = dict(seen)
        first, patches = tokens[:, :prefix], tokens[:, prefix:]
        if dense.repair:
            options = {} if isinstance(dense.repair, str) else dense.repair
            outliers = find_outliers(patches, **options)
            patches = repair_tokens(patches, outliers, grid, scope)
            if dense.own_block:
                own = seen[dense.own_block]
                mended = repair_tokens(own[:, prefix:], outliers, grid, scope)
                own = torch.cat([own[:, :prefix], mended], 1)
                seen[dense.own_block] = own
                self.seen[dense.own_block] = self.together(own)
        smooth = dict(dense.smooth or {})
        options = {k: smooth[k] for k in ('threshold',) if k in smooth}
        options['regions'] = scope
        if smooth.get('before'):
            like = seen[smooth['before']][:, prefix:]
            patches = smooth_tokens(patches, like, **options)
        y = self._attend_tokens(block, torch.cat([first, patches], 1))
        if smooth.get('after'):
            like = seen[smooth['after']][:, prefix:]
            smoothed = smooth_tokens(y[:, prefix:], like, **options)
            y = torch.cat([y[:, :prefix], smoothed], 1)
        if dense.class_share:
            y = y + dense.class_share * first[:, :1]
        if dense.fuse:
            low, high = dense.fuse
            total = sum(fused[number] for number in range(low, high + 1))
            y = y + self._attend_tokens(block, total)
            if dense.class_share:
                y = y + dense.class_share * total[:, :1]
        return self.together(y)

    def _attend_tokens(self, block: AttentionBlock, tokens: Tensor) -> Tensor:
        """Return the attention of one pass, windows apart, (B * W, N, D)."""
        normed = block.norm(self.together(tokens))
        qkv = self.project(block, normed)
        return self.apart(self.attend(block, normed, qkv)[0])
