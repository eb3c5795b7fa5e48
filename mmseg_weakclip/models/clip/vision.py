"""CLIP's vision transformer, run block by block on images of any size.

:class:`CLIPTower` is the base of both encoders of CLIP: it freezes them, and
leaves frozen weights out of checkpoints. :class:`VisionTower` is the image
encoder; ``towers`` knows how its parts are called in each library.
"""

import zlib
from collections.abc import Sequence

import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from .position import (
    POSITION_MODES,
    fit_position_table,
    interpolate_position,
)
from .towers.block import AttentionBlock
from .towers.image_parts import ImageParts
from .towers.open_clip_vit import OpenClipViT, find_open_clip_problem
from .towers.timm_vit import TimmViT, find_timm_problem

# Mean and deviation of images for CLIP, RGB, 0..255.
CLIP_MEAN = (122.771, 116.746, 104.094)
CLIP_STD = (68.501, 66.632, 70.323)


def fingerprint(module: nn.Module) -> Tensor:
    """Return a checksum of all parameters, a scalar int64 tensor."""
    checksum = 0
    for parameter in module.parameters():
        raw = parameter.detach().cpu().contiguous().view(-1)
        checksum = zlib.crc32(raw.view(torch.uint8).numpy(), checksum)
    return torch.tensor(checksum)


class CLIPTower(nn.Module):
    """One of the two encoders of CLIP.

    A frozen tower has no gradients and never leaves evaluation mode, nor do
    frozen modules of another (their norms would learn statistics). If its
    weights can be loaded again by name, checkpoints hold its fingerprint
    instead of the weights; loading such a checkpoint into a model with other
    CLIP weights is an error. A checkpoint that holds the weights is loaded
    as usual.

    Args:
        module: Encoder.
        frozen: Whether the tower is frozen; or the names of parameters and
            modules inside it that are frozen while the rest is trained.
        reloadable: Whether the same weights can be loaded again by name.

    Raises:
        ValueError: No part has a name of ``frozen``.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        frozen: bool | Sequence[str],
        reloadable: bool,
    ) -> None:
        super().__init__()
        self.module = module
        self.frozen = frozen is True
        self.reloadable = reloadable
        if self.frozen:
            self.requires_grad_(requires_grad=False)
            self.register_buffer('fingerprint', fingerprint(module))
        self.frozen_parts: tuple[str, ...] = ()
        if frozen and not self.frozen:
            self.frozen_parts = (
                (frozen,) if isinstance(frozen, str) else tuple(frozen)
            )
            _freeze_parts(module, self.frozen_parts)
        self._register_state_dict_hook(_leave_out_weights)
        self.register_load_state_dict_post_hook(_settle_keys)
        self.train(self.training)

    @property
    def left_out(self) -> bool:
        """Whether checkpoints are without the weights."""
        return self.frozen and self.reloadable

    def train(self, mode: bool = True) -> 'CLIPTower':  # noqa: FBT001, FBT002
        """Set the mode; what is frozen stays in evaluation mode."""
        super().train(mode and not self.frozen)
        for name, part in self.module.named_modules():
            if _is_part(name, self.frozen_parts):
                part.training = False
        return self

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args
    ) -> None:
        self._prefix = prefix
        self._has_weights = any(
            name.startswith(f'{prefix}module.') for name in state_dict
        )
        stored = state_dict.get(f'{prefix}fingerprint')
        if self.left_out and not self._has_weights and stored is not None:
            self._check_fingerprint(int(stored), prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_fingerprint(self, stored: int, prefix: str) -> None:
        if stored != int(self.fingerprint):
            raise ValueError(
                f'{prefix[:-1]}: this checkpoint was trained on other CLIP '
                f'weights (fingerprint {stored:#010x}) than the config loads '
                f'({int(self.fingerprint):#010x}); set `model` and '
                '`pretrained` to those it was trained with'
            )


def _is_part(path: str, names: Sequence[str]) -> bool:
    """Return whether a path is one of some names, or inside of one."""
    return any(path == name or path.startswith(f'{name}.') for name in names)


def _freeze_parts(module: nn.Module, names: Sequence[str]) -> None:
    for name in names:
        parts = [
            parameter
            for path, parameter in module.named_parameters()
            if _is_part(path, [name])
        ]
        if not parts:
            known = sorted(
                {p.split('.')[0] for p, _ in module.named_parameters()}
            )
            raise ValueError(
                f'frozen={tuple(names)}, but CLIP has no part {name!r} here; '
                f'there are {known} and the parts inside them'
            )
        for parameter in parts:
            parameter.requires_grad_(requires_grad=False)


def _leave_out_weights(
    tower: CLIPTower, state_dict: dict, prefix: str, local_metadata: dict
) -> None:
    if tower.left_out:
        for name in [
            n for n in state_dict if n.startswith(f'{prefix}module.')
        ]:
            del state_dict[name]


def _settle_keys(tower: CLIPTower, keys) -> None:
    """Accept missing frozen weights, and note weights that were loaded."""
    expendable = {f'{tower._prefix}fingerprint'}
    if tower._has_weights and tower.frozen:
        now = fingerprint(tower.module).to(tower.fingerprint.device)
        tower.reloadable &= bool(now == tower.fingerprint)
        tower.fingerprint = now
    elif tower.left_out:
        expendable.update(
            f'{tower._prefix}module.{name}'
            for name in tower.module.state_dict()
        )
    keys.missing_keys[:] = [
        name for name in keys.missing_keys if name not in expendable
    ]


def find_image_parts(visual: nn.Module) -> ImageParts:
    """Return the parts of an open_clip model's image tower.

    Raises:
        ValueError: The tower is of a kind that is not supported.
    """
    problem = find_tower_problem(visual)
    if problem is not None:
        raise ValueError(problem)
    if isinstance(visual, TimmModel):
        return TimmViT(visual)
    return OpenClipViT(visual)


def find_tower_problem(visual: nn.Module) -> str | None:
    """Return why an image tower is not supported, or None."""
    if isinstance(visual, TimmModel):
        return find_timm_problem(visual)
    if type(visual) is VisionTransformer:
        return find_open_clip_problem(visual)
    return (
        f'its image tower is a {type(visual).__name__}, which has no '
        'attention blocks over patches'
    )


class VisionTower(CLIPTower):
    """The image encoder of CLIP.

    Args:
        visual: open_clip's ``VisionTransformer``, or its ``TimmModel`` of a
            ViT.
        frozen: Whether the tower is frozen, or names of its frozen parts.
        reloadable: Whether the same weights can be loaded again by name.
        position_mode: Interpolation of the position embedding, one of
            :data:`POSITION_MODES`; see :func:`interpolate_position`.
        class_embedding_repeats: Number of times that the class embedding is
            added to the class token. DenseCLIP and WeakCLIP add it twice by
            mistake; their released weights need 2.
        position_grid: Rows and columns, equal, to which the position
            embedding is interpolated once, before it is fitted to an image;
            None keeps the grid of the weights. WeakCLIP's code has (32, 32),
            the grid of its crops of 512 pixels, and its released weights hold
            that table.

    Raises:
        ValueError: ``position_grid`` is not a square, ``position_mode`` is
            unknown, or the tower is of a kind that is not supported.
    """

    def __init__(
        self,
        visual: nn.Module,
        *,
        frozen: bool | Sequence[str] = True,
        reloadable: bool = False,
        position_mode: str = 'bilinear',
        class_embedding_repeats: int = 1,
        position_grid: tuple[int, int] | None = None,
    ) -> None:
        if position_mode not in POSITION_MODES:
            raise ValueError(
                f'position_mode={position_mode!r} must be one of '
                f'{POSITION_MODES}'
            )
        parts = find_image_parts(visual)
        if position_grid is not None:
            fit_position_table(parts, tuple(position_grid), position_mode)
        super().__init__(visual, frozen=frozen, reloadable=reloadable)
        self.parts = parts
        self.position_mode = position_mode
        self.class_embedding_repeats = class_embedding_repeats
        parts.drop_no_patches()

    @property
    def blocks(self) -> nn.ModuleList | nn.Sequential:
        """Blocks under the names of their library."""
        return self.parts.blocks

    @property
    def prefix(self) -> int:
        """Number of tokens before those of the patches."""
        return self.parts.prefix

    @property
    def patch_size(self) -> int:
        """Height and width of a patch in pixels."""
        return self.parts.patch_size

    @property
    def width(self) -> int:
        """Width D of the tokens."""
        return self.parts.width

    @property
    def embed_dim(self) -> int:
        """Width of the space that image and text share."""
        return self.parts.embed_dim

    def attention_blocks(
        self, grid: tuple[int, int] | None
    ) -> Sequence[AttentionBlock]:
        """Return the blocks, to be run step by step.

        Args:
            grid: Rows and columns (h, w) of patches; None for tokens that
                are not patches.

        Raises:
            ValueError: There is no grid, and the positions are rotary.
        """
        return self.parts.read_blocks(grid)

    def stem(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Cut images into tokens.

        Args:
            images: Normalised images, (B, 3, H, W), at least a patch on each
                side. Rows and columns past the last whole patch are ignored.

        Returns:
            Tokens, those before the patches first, (B, prefix + h * w, D),
            and (h, w).

        Raises:
            ValueError: An image is smaller than a patch.
        """
        height, width = images.shape[-2:]
        if min(height, width) < self.patch_size:
            raise ValueError(
                f'an image of {height} x {width} pixels (height x width) is '
                f'smaller than a patch of {self.patch_size}; enlarge it in '
                'the pipeline (Resize) or leave it out'
            )
        patches = self.parts.patchify(images)
        rows, columns = patches.shape[-2:]
        grid = rows, columns
        patches = patches.flatten(2).transpose(1, 2)
        if torch.is_autocast_enabled(patches.device.type):
            # Twelve blocks add to the tokens: in half precision, the sum
            # would be rounded 24 times.
            patches = patches.float()
        position = self.parts.position
        if position is not None:
            position = interpolate_position(
                position,
                grid,
                self.position_mode,
                prefix=self.parts.position_prefix,
            )
        tokens = self.parts.assemble(
            patches, position, self.class_embedding_repeats
        )
        return tokens, grid

    def embed(self, x: Tensor) -> Tensor:
        """Map tokens of the last block to the space shared with text.

        Args:
            x: Tokens, (..., D).

        Returns:
            (..., E), not normalised.
        """
        # Cosines lose too much in half precision; the last projection is
        # 0.5 % of the tower.
        with torch.autocast(x.device.type, enabled=False):
            return self.parts.embed_tokens(x.to(self.parts.dtype))

    def embed_image(self, x: Tensor) -> Tensor:
        """Map all tokens of the last block to the images' embeddings.

        Args:
            x: Tokens of the plain stream, (B, N, D).

        Returns:
            (B, E), not normalised: what open_clip's ``encode_image`` gives.
        """
        with torch.autocast(x.device.type, enabled=False):
            return self.parts.embed_image(x.to(self.parts.dtype))
