"""One attention block of a tower, step by step.

The towers come from two libraries, which name and order the parts of their
blocks differently. Dense paths, GradCAM and SegCLIP run blocks through
:class:`AttentionBlock` only.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.models.clip.similarity import sum_attention


class Projected(NamedTuple):
    """Queries, keys and values of one block, heads split.

    Each has shape (B, H, N, D / H). Rotary positions are already in the
    queries and keys.
    """

    query: Tensor
    key: Tensor
    value: Tensor


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Split (B, N, D) into the heads (B, H, N, D / H)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Join the heads of (B, H, N, D / H) to (B, N, D)."""
    return x.transpose(1, 2).flatten(2)


def attend(qkv: Projected) -> Tensor:
    """Return values mixed by the block's own attention, (B, N, D)."""
    return merge_heads(F.scaled_dot_product_attention(*qkv))


def mean_attention(qkv: Projected) -> Tensor:
    """Return the attention averaged over heads, (B, N, N), rows sum to 1."""
    _, heads, _, width = qkv.query.shape
    return sum_attention(width**-0.5 * qkv.query, qkv.key) / heads


class AttentionBlock(ABC):
    """A transformer block, for images with one grid of patches.

    It reads a module of a tower and is not a module itself, so that the
    parameters stay where they are registered.
    """

    @property
    @abstractmethod
    def heads(self) -> int:
        """Number of attention heads."""

    @abstractmethod
    def norm(self, x: Tensor) -> Tensor:
        """Return the input of the attention for tokens (B, N, D)."""

    @abstractmethod
    def project(self, normed: Tensor) -> Projected:
        """Return queries, keys and values of :meth:`norm`'s output."""

    @abstractmethod
    def update(self, mixed: Tensor) -> Tensor:
        """Return what mixed values (B, N, D), heads merged, add to tokens."""

    @abstractmethod
    def linear_values(self, value: Tensor) -> Tensor | None:
        """Return what each token adds where its share is 1, without bias.

        Args:
            value: Values of the tokens, (B, H, N, D / H).

        Returns:
            U, (B, N, D): adding R to every head's map adds ``R @ U`` to
            :meth:`update`. None where the update is not linear, because of
            a norm behind the attention.
        """

    @abstractmethod
    def feed_forward(self, x: Tensor) -> Tensor:
        """Return what the block's feed-forward part adds to (B, N, D)."""

    def finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Run the rest of the block after its attention.

        Args:
            x: Input of the block, (B, N, D).
            mixed: Values mixed by attention, heads merged, (B, N, D).

        Returns:
            Output of the block, (B, N, D).
        """
        x = x + self.update(mixed)
        return x + self.feed_forward(x)

    def run(self, x: Tensor) -> Tensor:
        """Run the whole block on tokens (B, N, D)."""
        return self.finish(x, attend(self.project(self.norm(x))))
