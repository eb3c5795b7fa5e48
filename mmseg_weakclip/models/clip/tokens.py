"""What CLIPViT hands to necks and heads beside its feature maps."""

from dataclasses import dataclass

from torch import Tensor

from .vision import VisionTower


@dataclass
class CLIPTokens:
    """CLIP's view of a batch. No two tensors share memory.

    Attributes:
        grid: Rows and columns (h, w) of patches; N = 1 + h * w tokens, the
            class token first.
        class_embedding: The image in the space shared with text, (B, E), not
            normalised.
        patch_embeddings: The patches there, (B, E, h, w), not normalised:
            of the dense stream if there is one, else of the plain one. A
            dense path with an affinity may have a grid of its own here.
        hidden: What goes into block 0, 1, ..., and what comes out of the
            last: L + 1 tensors (B, N, D), or none when not asked for.
        dense: The dense stream before the final norm, (B, N, D), class
            token from the plain stream; None without a dense path.
        values: U of the dense path, (B, N, D): see ``dense.py``. None
            without one, and with one that has a feed-forward part or a
            grid of its own.
        value_scale: What ``R @ values`` is multiplied by before it is added
            to ``dense``: the number of heads where their maps are summed,
            else 1.
        attention: Attention of the last k blocks, averaged over heads,
            (k, B, N, N) with rows that sum to one; None when k is 0.
        tower: The vision tower, for heads that run parts of it again.
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


def find_tokens(inputs: tuple, user: str) -> CLIPTokens:
    """The tokens behind the feature maps of a ``CLIPViT``.

    Args:
        inputs: What the backbone returned.
        user: Who needs them, for the message.

    Raises:
        ValueError: There are none.
    """
    if not isinstance(inputs[-1], CLIPTokens):
        raise ValueError(
            f"{user} needs CLIP's tokens: set with_tokens=True in CLIPViT"
        )
    return inputs[-1]
