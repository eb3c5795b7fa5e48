"""Parts of timm's vision transformers inside open_clip's ``TimmModel``.

Plain ViTs (SigLIP, MobileCLIP's B and L), ViTs behind a convolutional stem
(MobileCLIP-B, ViTamin), and Eva: with rotary positions (EVA-02, PE-Core), a
norm between attention and output projection (EVA-02), or norms behind
attention and feed-forward part (EVA02-E).
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from open_clip.timm_model import TimmModel
from timm.layers import (
    Attention,
    AttentionPoolLatent,
    AttentionRope,
    RotaryEmbeddingCat,
    apply_rot_embed_cat,
)
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from .block import AttentionBlock, Projected, merge_heads, split_heads
from .image_parts import ImageParts, find_shape_problem

BLOCKS = (Block, EvaBlock, EvaBlockPostNorm)
# Queries, keys and values, one softmax, an output projection.
ATTENTIONS = (Attention, AttentionRope, EvaAttention)
POOLS = ('token', 'avg', 'map')


@dataclass(frozen=True)
class TimmBlock(AttentionBlock):
    """A block of a timm ViT, for images with one grid of patches.

    Attributes:
        module: The block.
        prefix: Number of tokens before the patches, which have no place.
        rope: Rotary positions of the patches, (h * w, 2 * D / H), or None.
    """

    module: nn.Module
    prefix: int
    rope: Tensor | None = None

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return self.module.attn.num_heads

    @property
    def norms_last(self) -> bool:
        """Whether the norms follow attention and feed-forward part."""
        return isinstance(self.module, EvaBlockPostNorm)

    def norm(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionBlock.norm`."""
        return x if self.norms_last else self.module.norm1(x)

    def project(self, normed: Tensor) -> Projected:
        """See :meth:`AttentionBlock.project`."""
        attn = self.module.attn
        if attn.qkv is None:
            parts = [
                layer(normed)
                for layer in (attn.q_proj, attn.k_proj, attn.v_proj)
            ]
        else:
            bias = attn.qkv.bias
            if getattr(attn, 'q_bias', None) is not None:
                bias = torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])
            parts = F.linear(normed, attn.qkv.weight, bias).chunk(3, -1)
        query, key, value = (split_heads(part, self.heads) for part in parts)
        return Projected(
            self._rotate(attn.q_norm(query)).to(value.dtype),
            self._rotate(attn.k_norm(key)).to(value.dtype),
            value,
        )

    def _rotate(self, x: Tensor) -> Tensor:
        if self.rope is None:
            return x
        half = getattr(self.module.attn, 'rotate_half', False)
        patches = apply_rot_embed_cat(
            x[:, :, self.prefix :], self.rope, half=half
        )
        return torch.cat([x[:, :, : self.prefix], patches.to(x.dtype)], 2)

    def update(self, mixed: Tensor) -> Tensor:
        """See :meth:`AttentionBlock.update`."""
        attn = self.module.attn
        added = attn.proj(attn.norm(mixed))
        if self.norms_last:
            added = self.module.norm1(added)
        return self._scale(added, 1)

    def linear_values(self, value: Tensor) -> Tensor | None:
        """See :meth:`AttentionBlock.linear_values`."""
        attn = self.module.attn
        if self.norms_last or not isinstance(attn.norm, nn.Identity):
            return None
        added = F.linear(merge_heads(value), attn.proj.weight)
        return self._scale(added, 1)

    def feed_forward(self, x: Tensor) -> Tensor:
        """See :meth:`AttentionBlock.feed_forward`."""
        module = self.module
        if self.norms_last:
            return self._scale(module.norm2(module.mlp(x)), 2)
        return self._scale(module.mlp(module.norm2(x)), 2)

    def finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        """See :meth:`AttentionBlock.finish`; with stochastic depth."""
        x = x + self.module.drop_path1(self.update(mixed))
        return x + self.module.drop_path2(self.feed_forward(x))

    def _scale(self, added: Tensor, part: int) -> Tensor:
        """Apply the layer scale of the attention, 1, or the rest, 2."""
        if hasattr(self.module, f'ls{part}'):
            return getattr(self.module, f'ls{part}')(added)
        gamma = getattr(self.module, f'gamma_{part}', None)
        return added if gamma is None else gamma * added


class TimmViT(ImageParts):
    """A timm ``VisionTransformer`` or ``Eva`` inside a ``TimmModel``.

    The image is the class token, the mean of the patches, or what a latent
    query reads from all tokens (``'map'``, attention pooling).

    Embeddings of single patches, where the image is pooled by attention,
    take the pool's path of values: value projection, output projection, and
    the pool's own feed-forward part, as if the query saw this patch alone.
    That is MaskCLIP's idea for another head; no published result tells how
    well it works.

    Args:
        visual: Tower; see :func:`find_timm_problem`.
    """

    def __init__(self, visual: TimmModel) -> None:
        super().__init__(visual)
        trunk = visual.trunk
        self.prefix = trunk.num_prefix_tokens
        self.patch_size = trunk.patch_embed.feat_ratio()
        self.width = trunk.embed_dim
        self.embed_dim = _output_width(visual)
        self.rotary = getattr(trunk, 'rope', None) is not None
        self.position_name = None
        if trunk.pos_embed is not None:
            self.position_name = 'trunk.pos_embed'
        self.position_prefix = 0 if trunk.no_embed_class else self.prefix
        self._rope: tuple[tuple[int, int], Tensor] | None = None

    @property
    def blocks(self) -> nn.ModuleList | nn.Sequential:
        """The blocks as timm has them."""
        return self.visual.trunk.blocks

    def read_blocks(self, grid: tuple[int, int] | None) -> Sequence[TimmBlock]:
        """See :meth:`ImageParts.read_blocks`."""
        rope = None
        if self.rotary:
            if grid is None:
                raise ValueError(
                    'the rotary positions of this image tower belong to '
                    'patches on a grid, not to tokens of regions'
                )
            rope = self._rotary_positions(grid)
        return [TimmBlock(block, self.prefix, rope) for block in self.blocks]

    def _rotary_positions(self, grid: tuple[int, int]) -> Tensor:
        """Return the rotary positions of a grid; those of the last stay."""
        device = next(self.visual.parameters()).device
        kept = self._rope
        if kept is None or kept[0] != grid or kept[1].device != device:
            # Kept beyond this call, which may be one without gradients.
            with torch.inference_mode(mode=False), torch.no_grad():
                rope = deepcopy(self.visual.trunk.rope).float()
                rope.update_feat_shape(list(grid))
                kept = grid, rope.get_embed().to(device)
            self._rope = kept
        return kept[1]

    def patchify(self, images: Tensor) -> Tensor:
        """See :meth:`ImageParts.patchify`."""
        rows, columns = (
            side // self.patch_size * self.patch_size
            for side in images.shape[-2:]
        )
        embed = self.visual.trunk.patch_embed
        images = images[..., :rows, :columns]
        if hasattr(embed, 'backbone'):
            return embed.proj(embed.backbone(images))
        return embed.proj(images)

    def assemble(
        self, patches: Tensor, position: Tensor | None, repeats: int
    ) -> Tensor:
        """See :meth:`ImageParts.assemble`.

        Raises:
            ValueError: ``repeats`` is not 1.
        """
        if repeats != 1:
            raise ValueError(
                f'class_embedding_repeats={repeats} is for the weights of '
                "WeakCLIP, whose tower is open_clip's own ViT, not timm's"
            )
        trunk = self.visual.trunk
        patches = getattr(trunk.patch_embed, 'norm', nn.Identity())(patches)
        first = [
            token.to(patches.dtype).expand(patches.shape[0], -1, -1)
            for token in (trunk.cls_token, trunk.reg_token)
            if token is not None
        ]
        if position is not None:
            position = position.to(patches.dtype)
            if not self.position_prefix:
                patches, position = patches + position, None
        x = torch.cat([*first, patches], 1)
        if position is not None:
            x = x + position
        return trunk.norm_pre(x)

    def embed_tokens(self, x: Tensor) -> Tensor:
        """See :meth:`ImageParts.embed_tokens`, and the class."""
        trunk = self.visual.trunk
        x = trunk.norm(x)
        if trunk.attn_pool is not None:
            x = _pool_alone(trunk.attn_pool, x)
        return self.visual.head(trunk.head(trunk.fc_norm(x)))

    def embed_image(self, x: Tensor) -> Tensor:
        """See :meth:`ImageParts.embed_image`."""
        trunk = self.visual.trunk
        return self.visual.head(trunk.forward_head(trunk.norm(x)))

    def drop_no_patches(self) -> None:
        """Do nothing: :meth:`assemble` never drops patches."""


def _pool_alone(pool: AttentionPoolLatent, x: Tensor) -> Tensor:
    """Pool each token (..., D) as if it were the only one."""
    weight = pool.kv.weight.chunk(2)[1]
    bias = None if pool.kv.bias is None else pool.kv.bias.chunk(2)[1]
    x = pool.proj(F.linear(x, weight, bias))
    return x if pool.mlp is None else x + pool.mlp(pool.norm(x))


def _output_width(visual: TimmModel) -> int:
    """Return the width of the embeddings of a tower."""
    for part in (visual.head, visual.trunk.head):
        layers = [
            layer for layer in part.modules() if isinstance(layer, nn.Linear)
        ]
        if layers:
            return layers[-1].out_features
    return visual.trunk.num_features


def find_timm_problem(visual: TimmModel) -> str | None:
    """Return why a tower cannot be read as :class:`TimmViT`, or None."""
    trunk = visual.trunk
    name = type(trunk).__name__
    if type(trunk) not in (VisionTransformer, Eva):
        return f"its image tower is timm's {name}, not a plain ViT"
    odd = {type(block).__name__ for block in trunk.blocks} - {
        known.__name__ for known in BLOCKS
    }
    if odd:
        return f"its image tower has timm's blocks {sorted(odd)}"
    odd = {type(block.attn).__name__ for block in trunk.blocks} - {
        known.__name__ for known in ATTENTIONS
    }
    if odd:
        return f"its image tower has timm's attention {sorted(odd)}"
    if any(
        getattr(block.attn, 'gate', None) is not None
        or getattr(block.attn, 'num_kv_groups', 1) > 1
        for block in trunk.blocks
    ):
        return "its image tower's attention has gates or shared keys"
    if trunk.attn_pool is not None:
        pool = trunk.attn_pool
        if not isinstance(pool, AttentionPoolLatent) or pool.latent_len != 1:
            return f'its image tower pools by a {type(pool).__name__}'
        if pool.pos_embed is not None:
            return "its image tower's pool has positions of its own"
    elif trunk.global_pool not in POOLS:
        return f'its image tower has global_pool={trunk.global_pool!r}'
    if getattr(trunk, 'rope_mixed', False):
        return 'its rotary positions differ from block to block'
    rope = getattr(trunk, 'rope', None)
    if rope is not None and type(rope) is not RotaryEmbeddingCat:
        # DINOv3's, for one, keep no grid that could be changed.
        return f'its rotary positions are a {type(rope).__name__}'
    if hasattr(visual.head, 'pool'):
        return 'its image tower pools by a head of open_clip'
    embed = trunk.patch_embed
    return find_shape_problem(embed.patch_size, embed.grid_size)
