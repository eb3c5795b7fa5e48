"""CLIP's image half with a grouping of patches inside (SegCLIP)."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .vision import VisionTower, run_block


@dataclass
class Groups:
    """Patches of a batch, put into groups.

    Attributes:
        tokens: One token for each group, (B, G, D).
        logits: How well each patch goes with each group, (B, G, N), float32.
        hard: Which group each patch is in, (B, G, N), float32: exactly one 1
            in each column. Its gradient is that of a softmax.
        soft: Softmax of the logits over groups, (B, G, N).
    """

    tokens: Tensor
    logits: Tensor
    hard: Tensor
    soft: Tensor


@dataclass
class RegionTokens:
    """A batch as CLIP sees it region by region.

    Attributes:
        images: What the network saw, (B, 3, H, W), normalised.
        grid: Rows and columns (h, w) of patches; N = h * w.
        patches: What goes into the first block, (B, N, D).
        groups: The patches in G groups.
        image_embedding: The image in the space shared with text, (B, E), not
            normalised.
        region_embeddings: The regions there, (B, G, E), not normalised.
        encoder: What made them, for heads that run it on other patches.
    """

    images: Tensor
    grid: tuple[int, int]
    patches: Tensor
    groups: Groups
    image_embedding: Tensor
    region_embeddings: Tensor
    encoder: 'RegionEncoder'


@dataclass(frozen=True)
class RegionEncoder:
    """CLIP's blocks around a grouping module.

    SegCLIP (ICML 2023): no class token; the first blocks see patches, then
    they are grouped, the other blocks see one token for each group, and the
    image is the largest value of its regions, channel by channel.

    No module, so that the parameters stay where they are registered.

    Attributes:
        tower: CLIP's image half.
        group: (B, N, D) -> :class:`Groups`.
        group_after: Number of blocks that see patches.
        isolated: Whether the blocks behind see each region by itself. In
            SegCLIP regions see each other there, and may come to say what
            the whole image shows, all alike.
    """

    tower: VisionTower
    group: nn.Module
    group_after: int
    isolated: bool = False

    def cut(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Cut images (B, 3, H, W) into patches as the first block sees them.

        Returns:
            Patches with their positions, (B, h * w, D), and (h, w).

        Raises:
            ValueError: An image is smaller than a patch.
        """
        with self._graph():
            x, grid = self.tower.stem(images)
        return x[:, 1:], grid

    def see(
        self, patches: Tensor, keep: Sequence[int] = ()
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Run the blocks that see patches.

        Args:
            patches: All patches of the images, or some, (B, N, D).
            keep: Blocks (from 0) whose output is wanted.

        Returns:
            What the grouping sees, (B, N, D), and what was wanted.
        """
        kept = {}
        with self._graph():
            for index in range(self.group_after):
                patches = run_block(self.tower.blocks[index], patches)
                if index in keep:
                    kept[index] = patches
        return patches, kept

    def embed(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Bring region tokens (B, G, D) into the space shared with text.

        Returns:
            The image, (B, E), and its regions, (B, G, E), not normalised.
        """
        batch, groups, _ = tokens.shape
        if self.isolated:
            tokens = tokens.flatten(0, 1)[:, None]
        for block in self.tower.blocks[self.group_after :]:
            tokens = run_block(block, tokens)
        tokens = tokens.reshape(batch, groups, -1)
        return self.tower.embed(tokens.amax(1)), self.tower.embed(tokens)

    def _graph(self) -> AbstractContextManager:
        """A frozen tower needs no graph before something is trained."""
        return torch.no_grad() if self.tower.frozen else nullcontext()


def find_regions(inputs: tuple, user: str) -> RegionTokens:
    """The regions behind the feature maps of a ``CLIPViT``.

    Args:
        inputs: What the backbone returned.
        user: Who needs them, for the message.

    Raises:
        ValueError: There are none.
    """
    if not isinstance(inputs[-1], RegionTokens):
        raise ValueError(
            f'{user} needs the regions of a CLIPViT: give it a grouping '
            "module, group=dict(type='SemanticGroup', ...), and "
            'with_tokens=True'
        )
    return inputs[-1]
