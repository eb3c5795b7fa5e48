"""Parts of open_clip's own vision transformer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from .block import AttentionBlock, Projected, merge_heads, split_heads
from .image_parts import ImageParts, find_shape_problem


@dataclass(frozen=True)
class OpenClipBlock(AttentionBlock):
    """A ``ResidualAttentionBlock`` of open_clip, of an image or a text.

    Attributes:
        module: The block.
    """

    module: nn.Module

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return self.module.attn.num_heads

    def norm(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionBlock.norm`."""
        return self.module.ln_1(x)

    def project(self, normed: Tensor) -> Projected:
        """See :meth:`AttentionBlock.project`."""
        attn = self.module.attn
        qkv = F.linear(normed, attn.in_proj_weight, attn.in_proj_bias)
        return Projected(
            *(split_heads(part, self.heads) for part in qkv.chunk(3, -1))
        )

    def update(self, mixed: Tensor) -> Tensor:
        """See :meth:`AttentionBlock.update`."""
        return self.module.ls_1(self.module.attn.out_proj(mixed))

    def linear_values(self, value: Tensor) -> Tensor:
        """See :meth:`AttentionBlock.linear_values`."""
        weight = self.module.attn.out_proj.weight
        return self.module.ls_1(F.linear(merge_heads(value), weight))

    def feed_forward(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionBlock.feed_forward`."""
        return self.module.ls_2(self.module.mlp(self.module.ln_2(x)))


class OpenClipViT(ImageParts):
    """open_clip's ``VisionTransformer``.

    The image is the class token, or the mean of the patches, whose norm may
    come behind the mean (CLIPA).

    Args:
        visual: Tower; see :func:`check_open_clip_vit`.
    """

    rotary = False
    position_name = 'positional_embedding'
    prefix = position_prefix = 1

    def __init__(self, visual: VisionTransformer) -> None:
        super().__init__(visual)
        self.patch_size = visual.patch_size[0]
        self.width = len(visual.class_embedding)
        self.embed_dim = visual.proj.shape[1]

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks as open_clip has them."""
        return self.visual.transformer.resblocks

    def read_blocks(
        self, grid: tuple[int, int] | None
    ) -> Sequence[OpenClipBlock]:
        """See :meth:`ImageParts.read_blocks`."""
        return [OpenClipBlock(block) for block in self.blocks]

    def patchify(self, images: Tensor) -> Tensor:
        """See :meth:`ImageParts.patchify`."""
        return self.visual.conv1(images)

    def assemble(
        self, patches: Tensor, position: Tensor | None, repeats: int
    ) -> Tensor:
        """See :meth:`ImageParts.assemble`."""
        visual = self.visual
        first = visual.class_embedding * repeats
        # Not len(patches), of which a trace would make a number.
        first = first.to(patches.dtype).expand(patches.shape[0], 1, -1)
        x = torch.cat([first, patches], 1) + position.to(patches.dtype)
        return visual.ln_pre(visual.patch_dropout(x))

    def embed_tokens(self, x: Tensor) -> Tensor:
        """See :meth:`ImageParts.embed_tokens`."""
        return self.visual.ln_post(x) @ self.visual.proj

    def embed_image(self, x: Tensor) -> Tensor:
        """See :meth:`ImageParts.embed_image`."""
        visual = self.visual
        if visual.pool_type == 'tok':
            return self.embed_tokens(x[:, 0])
        if visual.final_ln_after_pool:
            return self.embed_tokens(x[:, 1:].mean(1))
        return visual.ln_post(x)[:, 1:].mean(1) @ visual.proj

    def drop_no_patches(self) -> None:
        """See :meth:`ImageParts.drop_no_patches`."""
        self.visual.patch_dropout = nn.Identity()


def find_open_clip_problem(visual: VisionTransformer) -> str | None:
    """Return why a tower cannot be read as :class:`OpenClipViT`, or None."""
    if visual.attn_pool is not None:
        return 'its image tower pools by queries of its own (CoCa)'
    if visual.pool_type not in ('tok', 'avg'):
        return f'its image tower has pool_type={visual.pool_type!r}'
    if visual.proj is None:
        return 'its image tower has no projection'
    if not all(
        type(block) is ResidualAttentionBlock
        for block in visual.transformer.resblocks
    ):
        return "its image tower's blocks are not CLIP's"
    return find_shape_problem(visual.patch_size, visual.grid_size)
