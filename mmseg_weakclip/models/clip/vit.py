"""CLIP's vision transformer as an mmseg backbone."""

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from .dense.presets import build_dense
from .dense.stream import DenseStream
from .normalization import weight_normalization
from .tokens import CLIPTokens
from .towers.block import attend, mean_attention
from .vision import VisionTower
from .weights import load_clip


@MODELS.register_module()
class CLIPViT(BaseModule):
    """The image encoder of an open_clip model.

    Images may have any size: the grid of patches has ``H // patch`` rows and
    ``W // patch`` columns, and the position embedding is interpolated to it.
    The result is a plain tuple of maps (B, D, h, w), one for each index, so
    any mmseg neck or head works on it.

    Configs written before ``GroupingCLIPViT`` existed say
    ``type='CLIPViT', group=dict(...)``; they get a ``GroupingCLIPViT``.

    Args:
        model: Name of an open_clip model whose image tower is a ViT of
            open_clip or timm (``docs/weights.md`` lists them), or of one
            registered with :func:`add_local_model`.
        pretrained: Tag or file of the weights; ``None`` for random ones.
        out_indices: Blocks (from 0) whose output is returned.
        dense: Preset name or arguments of :class:`DenseAttention`; ``None``
            is plain CLIP. It only changes the :class:`CLIPTokens`, and takes
            time only with ``with_tokens``.
        adapter: Config of a module that turns the tuple of maps into
            another, such as ``PyramidAdapter``. It is trained.
        frozen: Whether CLIP is frozen: no gradients, evaluation mode, left
            out of checkpoints when ``pretrained`` restores it. Or the names
            of its parts that are frozen, such as ``['conv1', 'ln_pre']``.
        with_tokens: Whether a :class:`CLIPTokens` follows as last element.
        hidden_states: Whether the tokens hold all hidden states.
        attention_layers: Number of last blocks whose attention they hold.
        guide: Config of a module such as ``TimmAffinity`` with
            ``grid='clip'``, whose affinities of the patches they hold; None
            for none. It is called as the ``affinity`` of
            :class:`DenseAttention`.
        position_mode: See :class:`VisionTower`.
        class_embedding_repeats: See :class:`VisionTower`.
        position_grid: See :class:`VisionTower`.
        check_normalization: Whether ``CheckNormalizationHook`` compares mean
            and deviation of the images with those that the weights were
            trained with, where they are recorded. False where published code
            gives CLIP others on purpose.
        init_cfg: Initialisation of the adapter; CLIP's weights come from
            ``pretrained``.

    Raises:
        ValueError: An index or a number of layers exceeds the blocks of the
            model, ``position_grid`` or ``position_mode`` is not allowed, or
            the model cannot be loaded; see :func:`load_clip`.
    """

    def __new__(
        cls, *args: Any, group: ConfigType | None = None, **kwargs: Any
    ) -> 'CLIPViT':
        """Create a ``GroupingCLIPViT`` if an old config asks for a group."""
        if cls is CLIPViT and group is not None:
            _warn_about_group()
            return super().__new__(MODELS.get('GroupingCLIPViT'))
        return super().__new__(cls)

    def __init__(
        self,
        model: str,
        pretrained: str | None,
        *,
        out_indices: tuple[int, ...] = (-1,),
        dense: str | dict | None = None,
        adapter: ConfigType | None = None,
        frozen: bool | Sequence[str] = True,
        with_tokens: bool = False,
        hidden_states: bool = False,
        attention_layers: int = 0,
        guide: ConfigType | None = None,
        position_mode: str = 'bilinear',
        class_embedding_repeats: int = 1,
        position_grid: tuple[int, int] | None = None,
        check_normalization: bool = True,
        init_cfg: ConfigType | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.tower = VisionTower(
            load_clip(model, pretrained).visual,
            frozen=frozen,
            reloadable=pretrained is not None,
            position_mode=position_mode,
            class_embedding_repeats=class_embedding_repeats,
            position_grid=position_grid,
        )
        self.model_name = model
        self.check_normalization = check_normalization
        # CheckNormalizationHook reads them.
        self.mean: tuple[float, ...] | None = None
        self.std: tuple[float, ...] | None = None
        if check_normalization:
            recorded = weight_normalization(model, pretrained)
            if recorded is not None:
                self.mean, self.std = recorded
        depth = len(self.tower.blocks)
        if not all(-depth <= index < depth for index in out_indices):
            raise ValueError(
                f'out_indices={tuple(out_indices)}, but {model} '
                f'has {depth} blocks'
            )
        if not 0 <= attention_layers <= depth:
            raise ValueError(
                f'attention_layers={attention_layers}, but '
                f'{model} has {depth} blocks'
            )
        self.out_indices = [index % depth for index in out_indices]
        self.dense = build_dense(dense)
        self.affinity = None
        if self.dense:
            if self.dense.layers > depth:
                raise ValueError(
                    f'dense layers={self.dense.layers}, but {model} '
                    f'has {depth} blocks'
                )
            if self.dense.highest_block > depth - self.dense.layers:
                raise ValueError(
                    f'the dense path names block {self.dense.highest_block}, '
                    f'but {model} has {depth} blocks, of which the last '
                    f'{self.dense.layers} are replaced'
                )
            if self.dense.affinity and not self.dense.own_block:
                self.affinity = MODELS.build(self.dense.affinity)
        self.guide = MODELS.build(guide) if guide else None
        self.adapter = MODELS.build(adapter) if adapter else None
        self.with_tokens = with_tokens
        self.hidden_states = hidden_states
        self.attention_layers = attention_layers

    def forward(self, images: Tensor) -> tuple:
        """Encode images.

        Args:
            images: Normalised images, (B, 3, H, W).

        Returns:
            Maps (B, D, h, w), one for each index or as the adapter makes
            them; with ``with_tokens``, the tokens follow.

        Raises:
            ValueError: The images are smaller than a patch, or the guide's
                affinities are not of CLIP's patches.
        """
        maps, tokens = self._run_tower(images)
        if self.adapter is not None:
            maps = self.adapter(maps)
        return (*maps, tokens) if self.with_tokens else tuple(maps)

    def _run_tower(self, images: Tensor) -> tuple[tuple[Tensor, ...], Any]:
        """Return the maps before the adapter, and the tokens or None."""
        # A frozen trunk keeps no graph, even while the rest is trained.
        with torch.no_grad() if self.tower.frozen else nullcontext():
            return self._run_blocks(images)

    def _run_blocks(
        self, images: Tensor
    ) -> tuple[tuple[Tensor, ...], CLIPTokens | None]:
        tower = self.tower
        depth = len(tower.blocks)
        x, grid = tower.stem(images)
        stream = None
        if self.dense and self.with_tokens:
            stream = DenseStream(
                self.dense,
                depth,
                grid,
                self._ask(self.affinity, images, grid),
                prefix=tower.prefix,
            )
        hidden, attention, outputs = [], [], {}
        for index, block in enumerate(tower.attention_blocks(grid)):
            if self.with_tokens and self.hidden_states:
                hidden.append(x)
            normed = block.norm(x)
            qkv = block.project(normed)
            if self.with_tokens and index >= depth - self.attention_layers:
                attention.append(mean_attention(qkv))
            if stream:
                stream.update(index, block, x, normed, qkv)
            x = block.finish(x, attend(qkv))
            if index in self.out_indices:
                outputs[index] = to_map(x[:, tower.prefix :], grid)
        maps = tuple(outputs[index] for index in self.out_indices)
        if not self.with_tokens:
            return maps, None
        if self.hidden_states:
            hidden.append(x)
        dense = stream.output(x) if stream else None
        patches = (x if dense is None else dense)[:, tower.prefix :]
        embedded = tower.embed(patches)
        return maps, CLIPTokens(
            grid=grid,
            class_embedding=tower.embed_image(x),
            patch_embeddings=to_map(
                embedded, stream.dense_grid if stream else grid
            ),
            hidden=tuple(hidden),
            dense=dense,
            values=stream.values if stream else None,
            value_scale=stream.value_scale if stream else 1,
            attention=torch.stack(attention) if attention else None,
            tower=tower,
            affinity=self._guidance(images, grid),
            prefix=tower.prefix,
        )

    def _guidance(
        self, images: Tensor, grid: tuple[int, int]
    ) -> Tensor | None:
        found = self._ask(self.guide, images, grid)
        if found is None:
            return None
        affinity, own = found
        if own != grid:
            raise ValueError(
                f'the guide has {own[0]} x {own[1]} patches and CLIP {grid[0]}'
                f' x {grid[1]}: set grid="clip" in TimmAffinity'
            )
        return affinity

    def _ask(
        self,
        module: nn.Module | None,
        images: Tensor,
        grid: tuple[int, int],
    ) -> tuple[Tensor, tuple[int, int]] | None:
        """Return the affinity of the area that the patches cover, if any."""
        if module is None:
            return None
        rows, columns = (side * self.tower.patch_size for side in grid)
        return module(images[..., :rows, :columns], grid)


@cache
def _warn_about_group() -> None:
    print_log(
        "type='CLIPViT' with group=dict(...) builds a GroupingCLIPViT; "
        "write type='GroupingCLIPViT' in new configs",
        logger='current',
        level=logging.WARNING,
    )


def to_map(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Arrange patch tokens (B, h * w, D) as a map (B, D, h, w).

    The map shares no memory with the tokens.
    """
    return (
        patches.transpose(1, 2)
        .unflatten(2, grid)
        .clone(memory_format=torch.contiguous_format)
    )
