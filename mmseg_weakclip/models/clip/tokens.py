"""Tokens that CLIPViT passes to necks and heads beside its maps."""

from dataclasses import dataclass

from torch import Tensor

from .vision import VisionTower


@dataclass
class CLIPTokens:
    """CLIP's output for a batch. No two tensors share memory.

    Attributes:
        grid: Rows and columns (h, w) of patches; N = prefix + h * w tokens,
            those before the patches first.
        class_embedding: The image in the space shared with text, (B, E), not
            normalised: CLIP's class token, or what the tower pools.
        patch_embeddings: The patches in that space, (B, E, h, w), not
            normalised: of the dense stream if there is one, else of the
            plain one. With an affinity, the grid may differ from ``grid``.
        hidden: Inputs of the blocks 0, 1, ... and the output of the last:
            L + 1 tensors (B, N, D), or none if not requested.
        dense: The dense stream before the final norm, (B, N, D), tokens
            before the patches from the plain stream; None without a dense
            path.
        values: U of the dense path, (B, N, D); see ``dense/attention.py``.
            None without a dense path, and with one that has a feed-forward
            part, another grid, or blocks with a norm behind the attention.
        value_scale: Factor of ``R @ values`` before it is added to
            ``dense``: the number of heads if their maps are summed, else 1.
        attention: Attention of the last k blocks, averaged over heads,
            (k, B, N, N) with rows that sum to one; None when k is 0.
        tower: Vision tower, for heads that run parts of it again.
        affinity: Affinities of the patches by another model,
            (B, h * w, h * w) with rows that sum to one; None without one.
        prefix: Number of tokens before the patches: one, CLIP's class token,
            in most towers.
    """

    grid: tuple[int, int]
    class_embedding: Tensor
    patch_embeddings: Tensor
    hidden: tuple[Tensor, ...]
    dense: Tensor | None
    values: Tensor | None
    value_scale: int
    attention: Tensor | None
    tower: VisionTower
    affinity: Tensor | None = None
    prefix: int = 1


def find_tokens(inputs: tuple, user: str) -> CLIPTokens:
    """Return the tokens behind the feature maps of a ``CLIPViT``.

    Args:
        inputs: Output of the backbone.
        user: Name of the part that needs them, for the message.

    Raises:
        ValueError: The backbone returned none.
    """
    if not isinstance(inputs[-1], CLIPTokens):
        raise ValueError(
            f"{user} needs CLIP's tokens: set with_tokens=True in CLIPViT"
        )
    return inputs[-1]
