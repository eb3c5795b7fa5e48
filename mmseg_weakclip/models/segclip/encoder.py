"""SegCLIP's image encoder: CLIP's ViT with a grouping of patches inside."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_weakclip.models.clip.vision import VisionTower
from mmseg_weakclip.models.clip.vit import CLIPViT, to_map


@dataclass
class Groups:
    """Patches of a batch, assigned to groups.

    Attributes:
        tokens: One token for each group, (B, G, D).
        logits: Similarity of each patch to each group, (B, G, N), float32.
        hard: One-hot assignment of patches to groups, (B, G, N), float32:
            exactly one 1 in each column. Its gradient is that of a softmax.
        soft: Softmax of the logits over groups, (B, G, N).
    """

    tokens: Tensor
    logits: Tensor
    hard: Tensor
    soft: Tensor


@dataclass
class RegionTokens:
    """A batch of images encoded region by region.

    Attributes:
        images: Input of the network, (B, 3, H, W), normalised.
        grid: Rows and columns (h, w) of patches; N = h * w.
        patches: Input of the first block, (B, N, D).
        groups: The patches in G groups.
        image_embedding: The image in the space shared with text, (B, E), not
            normalised.
        region_embeddings: The regions there, (B, G, E), not normalised.
        encoder: The encoder that made them, for heads that run it on other
            patches.
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

    SegCLIP (ICML 2023): no class token; the first blocks run on patches,
    then the patches are grouped, the other blocks run on one token for each
    group, and the image is the maximum over its regions, channel by channel.

    It is not an ``nn.Module``, so that the parameters stay where they are
    registered.

    Attributes:
        tower: CLIP's image tower.
        group: Module that maps (B, N, D) to :class:`Groups`.
        group_after: Number of blocks that run on patches.
        isolated: Whether the blocks behind the grouping see each region
            alone. In SegCLIP, regions attend to each other there, and can
            come to describe the whole image, all alike.
    """

    tower: VisionTower
    group: nn.Module
    group_after: int
    isolated: bool = False

    def patchify(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Cut images into the patch tokens that the first block gets.

        Args:
            images: Normalised images, (B, 3, H, W).

        Returns:
            Patches with their positions, (B, h * w, D), and (h, w).

        Raises:
            ValueError: An image is smaller than a patch.
        """
        with self._grad_mode():
            x, grid = self.tower.stem(images)
        return x[:, self.tower.prefix :], grid

    def encode_patches(
        self, patches: Tensor, keep: Sequence[int] = ()
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Run the blocks before the grouping.

        Args:
            patches: All patches of the images, or some, (B, N, D).
            keep: Blocks (from 0) whose output is returned, too.

        Returns:
            Input of the grouping, (B, N, D), and the outputs of ``keep`` by
            block.
        """
        kept = {}
        with self._grad_mode():
            blocks = self.tower.attention_blocks(None)
            for index in range(self.group_after):
                patches = blocks[index].run(patches)
                if index in keep:
                    kept[index] = patches
        return patches, kept

    def encode_regions(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map region tokens into the space shared with text.

        Args:
            tokens: One token for each group, (B, G, D).

        Returns:
            The image, (B, E), and its regions, (B, G, E), not normalised.
        """
        batch, groups, _ = tokens.shape
        if self.isolated:
            tokens = tokens.flatten(0, 1)[:, None]
        for block in self.tower.attention_blocks(None)[self.group_after :]:
            tokens = block.run(tokens)
        tokens = tokens.reshape(batch, groups, -1)
        return self.tower.embed(tokens.amax(1)), self.tower.embed(tokens)

    def _grad_mode(self) -> AbstractContextManager:
        """Return no_grad for a frozen tower, before something is trained."""
        return torch.no_grad() if self.tower.frozen else nullcontext()


@MODELS.register_module()
class GroupingCLIPViT(CLIPViT):
    """The image encoder of SegCLIP (ICML 2023).

    A :class:`CLIPViT` that groups patches before its last blocks. See
    :class:`RegionEncoder`.

    Args:
        args: Model and weights, as in :class:`CLIPViT`.
        group: Config of the module that groups patches, such as
            ``SemanticGroup``. It is trained.
        group_after: Number of blocks before the grouping. Every block of
            ``out_indices`` must be among them.
        isolated_regions: Whether the blocks behind the grouping see each
            region alone; see :class:`RegionEncoder`.
        adapter: Config of a module that turns the tuple of maps into
            another. It is trained.
        kwargs: Other options of :class:`CLIPViT`. With ``with_tokens``, a
            :class:`RegionTokens` follows the maps.

    Raises:
        ValueError: ``group`` or ``group_after`` is missing, does not go
            with ``out_indices``, or an option needs the class token.
    """

    def __init__(
        self,
        *args: Any,
        group: ConfigType | None = None,
        group_after: int | None = None,
        isolated_regions: bool = False,
        adapter: ConfigType | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if group is None or group_after is None:
            raise ValueError(
                'GroupingCLIPViT needs both group=dict(...) and group_after'
            )
        if self.dense or self.hidden_states or self.attention_layers:
            raise ValueError(
                'dense, hidden_states and attention_layers read a class '
                'token, which GroupingCLIPViT does not have'
            )
        if self.guide is not None:
            raise ValueError(
                'guide belongs to the tokens of single patches, which '
                'GroupingCLIPViT does not give'
            )
        if self.tower.parts.rotary:
            raise ValueError(
                'GroupingCLIPViT runs blocks on regions, which have no place '
                'on the grid, but the positions of this model are rotary: '
                'take a model with a position embedding, such as ViT-B-16'
            )
        depth = len(self.tower.blocks)
        if not max(self.out_indices) < group_after < depth:
            raise ValueError(
                f'group_after={group_after} must be below the number of '
                f'blocks ({depth}) and above all of out_indices='
                f'{tuple(self.out_indices)}'
            )
        # The order of parameters in optimiser states of older checkpoints.
        self.group = MODELS.build(group)
        self.adapter = MODELS.build(adapter) if adapter else None
        self.group_after = group_after
        self.isolated_regions = isolated_regions

    def _run_tower(
        self, images: Tensor
    ) -> tuple[tuple[Tensor, ...], RegionTokens | None]:
        encoder = RegionEncoder(
            self.tower, self.group, self.group_after, self.isolated_regions
        )
        patches, grid = encoder.patchify(images)
        encoded, outputs = encoder.encode_patches(patches, self.out_indices)
        maps = tuple(
            to_map(outputs[index], grid) for index in self.out_indices
        )
        if not self.with_tokens:
            return maps, None
        groups = self.group(encoded)
        image, regions = encoder.encode_regions(groups.tokens)
        return maps, RegionTokens(
            images=images,
            grid=grid,
            patches=patches,
            groups=groups,
            image_embedding=image,
            region_embeddings=regions,
            encoder=encoder,
        )


def require_region_tokens(inputs: tuple, user: str) -> RegionTokens:
    """Return the region tokens behind the maps of a ``GroupingCLIPViT``.

    Args:
        inputs: Output of the backbone.
        user: Name of the part that needs them, for the message.

    Raises:
        ValueError: The backbone returned none.
    """
    if not isinstance(inputs[-1], RegionTokens):
        raise ValueError(
            f'{user} needs the regions of a GroupingCLIPViT: use that as '
            "backbone, with group=dict(type='SemanticGroup', ...) and "
            'with_tokens=True'
        )
    return inputs[-1]
