"""What dense code needs of an image tower, whichever library it is from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .block import AttentionBlock


class ImageParts(ABC):
    """The parts of an image tower, step by step.

    Like :class:`AttentionBlock` it reads modules and is not one.

    Args:
        visual: Image tower of an open_clip model.

    Attributes:
        prefix: Number of tokens before the patches: 0, a class token, or a
            class token and registers.
        patch_size: Height and width of a patch in pixels.
        width: Width D of the tokens.
        embed_dim: Width E of the space that image and text share.
        rotary: Whether queries and keys carry the places of the patches.
        position_name: Name of the position embedding in the tower, or None.
        position_prefix: Rows of the position embedding before the patches.
    """

    prefix: int
    patch_size: int
    width: int
    embed_dim: int
    rotary: bool
    position_name: str | None
    position_prefix: int

    def __init__(self, visual: nn.Module) -> None:
        self.visual = visual

    @property
    @abstractmethod
    def blocks(self) -> nn.ModuleList | nn.Sequential:
        """The blocks as the library has them."""

    @abstractmethod
    def read_blocks(
        self, grid: tuple[int, int] | None
    ) -> Sequence[AttentionBlock]:
        """Return the blocks for images with h x w patches.

        Args:
            grid: Rows and columns (h, w) of patches; None for tokens without
                places.

        Raises:
            ValueError: There is no grid, and the positions are rotary.
        """

    @abstractmethod
    def patchify(self, images: Tensor) -> Tensor:
        """Cut images (B, 3, H, W) into patch features (B, D, h, w)."""

    @abstractmethod
    def assemble(
        self, patches: Tensor, position: Tensor | None, repeats: int
    ) -> Tensor:
        """Add prefix tokens and positions; return the first block's input.

        Args:
            patches: Features of the patches, (B, h * w, D).
            position: Position embedding fitted to the grid,
                (position_prefix + h * w, D), or None.
            repeats: Number of times that the class embedding is added.

        Returns:
            (B, prefix + h * w, D).
        """

    @abstractmethod
    def embed_tokens(self, x: Tensor) -> Tensor:
        """Map tokens (..., D) of the last block to (..., E), one by one."""

    @abstractmethod
    def embed_image(self, x: Tensor) -> Tensor:
        """Map all tokens (B, N, D) of the last block to images (B, E)."""

    @abstractmethod
    def drop_no_patches(self) -> None:
        """Switch patch dropout off, since maps need every patch."""

    @property
    def position(self) -> nn.Parameter | None:
        """Position embedding, (position_prefix + n * n, D), or None."""
        if self.position_name is None:
            return None
        table = self.visual.get_parameter(self.position_name)
        return table[0] if table.ndim == 3 else table

    def set_position(self, table: Tensor) -> None:
        """Replace the position embedding by another of the same width."""
        path, _, leaf = (self.position_name or '').rpartition('.')
        old = self.visual.get_parameter(self.position_name or '')
        new = table[None] if old.ndim == 3 else table
        setattr(self.visual.get_submodule(path), leaf, nn.Parameter(new))

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return next(self.visual.parameters()).dtype


def find_shape_problem(
    patch: Sequence[int], grid: Sequence[int]
) -> str | None:
    """Return why a tower's patches cannot be laid out, or None.

    Args:
        patch: Height and width of a patch in pixels.
        grid: Rows and columns of patches of the images in training.
    """
    for what, (rows, columns) in (('patches', patch), ('grids', grid)):
        if rows != columns:
            return (
                f'its image tower has {what} of {rows} x {columns}, and only '
                'square ones are supported'
            )
    return None
