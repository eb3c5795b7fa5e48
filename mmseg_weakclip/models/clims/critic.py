"""CLIP as critic of image regions (CLIMS, CVPR 2022).

Maps of (image, class) pairs cut images into an object region and the rest
(:func:`mask_regions`); :class:`RegionCritic` encodes both by a frozen CLIP,
through which gradients reach the maps.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmseg_weakclip.models.clip.normalization import (
    Normalization,
    weight_normalization,
)
from mmseg_weakclip.models.clip.vision import (
    CLIP_MEAN,
    CLIP_STD,
    CLIPTower,
    find_image_parts,
)
from mmseg_weakclip.models.clip.weights import load_clip
from mmseg_weakclip.models.transfer import device_constant

# Normalisation of CLIP, and of ImageNet, which CLIMS's code uses for CLIP;
# both for RGB in 0..255.
NORMALIZATIONS = {
    'clip': (CLIP_MEAN, CLIP_STD),
    'imagenet': ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}


def normalize_images(
    images: Tensor, name: str, own: Normalization | None = None
) -> Tensor:
    """Normalise RGB images.

    Args:
        images: RGB images in 0..255 of any type, (B, 3, H, W).
        name: Normalisation, ``'clip'`` or ``'imagenet'``.
        own: Mean and deviation of ``'clip'`` for weights that need other
            ones than OpenAI's; None for those.

    Returns:
        float32, (B, 3, H, W).

    Raises:
        ValueError: There is no normalisation of this name.
    """
    if name not in NORMALIZATIONS:
        raise ValueError(
            f'normalization={name!r} must be one of {sorted(NORMALIZATIONS)}'
        )
    mean, std = (
        device_constant(values, images.device)[:, None, None]
        for values in (own if own and name == 'clip' else NORMALIZATIONS[name])
    )
    return (images.float() - mean) / std


def find_pairs(present: Tensor) -> tuple[Tensor, Tensor]:
    """Return pairs of an image and a class that it has.

    Args:
        present: Image labels, bool, (B, K). Their number sets a size, so
            that a device would be waited for.

    Returns:
        Indices of the images and ids of the classes, both (M,), image by
        image.
    """
    images, labels = present.nonzero(as_tuple=True)
    return images, labels


def mask_regions(
    images: Tensor,
    maps: Tensor,
    pairs: tuple[Tensor, Tensor],
    size: Sequence[int],
    *,
    align_corners: bool = False,
) -> tuple[Tensor, Tensor]:
    """Split images into the region of a map and the rest.

    ``X * P`` and ``X * (1 - P)`` (CLIMS, CVPR 2022, Eq. 2) in normalised
    space, where masked pixels have the mean colour.

    Args:
        images: Normalised images X, (B, 3, H, W).
        maps: Activation maps P in [0, 1] of the same view, (B, K, h, w).
        pairs: Images and classes of M pairs; see :func:`find_pairs`.
        size: Height and width of CLIP's input.
        align_corners: Whether the corner pixels of image and map stay at the
            corners, as in the published code.

    Returns:
        Object regions and the rest, both (M, 3, *size).
    """
    rows, labels = pairs
    # Resized before the selection: an image may be in several pairs.
    resize = partial(
        F.interpolate,
        size=tuple(size),
        mode='bilinear',
        align_corners=align_corners,
    )
    images = resize(images)[rows]
    masks = resize(maps[rows, labels][:, None].float())
    inside = masks * images
    return inside, images - inside


class RegionCritic(nn.Module):
    """CLIP's image tower for the regions of CLIMS.

    Args:
        model: Name of the open_clip model; CLIMS has ViT-B-32.
        pretrained: Tag or file of the weights; see :func:`load_clip`.
        normalization: Normalisation of the input of CLIP: ``'clip'``, that of
            its weights, or ``'imagenet'``, as published.
        chunk: Number of regions at a time; None for all. Chunks are run
            again in the backward pass, so that only the activations of one
            chunk are in memory.
        align_corners: See :func:`mask_regions`; True as published.

    Raises:
        ValueError: The model cannot be loaded, ``normalization`` is unknown,
            or ``chunk`` is not positive.
    """

    def __init__(
        self,
        model: str = 'ViT-B-32-quickgelu',
        pretrained: str | None = 'openai',
        normalization: str = 'clip',
        chunk: int | None = None,
        *,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        visual = load_clip(model, pretrained).visual
        self.embed_dim = find_image_parts(visual).embed_dim
        self.tower = CLIPTower(
            visual,
            frozen=True,
            reloadable=pretrained is not None,
        )
        if chunk is not None and chunk < 1:
            raise ValueError(f'chunk={chunk} must be at least 1')
        normalize_images(torch.zeros(1, 3, 1, 1), normalization)
        self.normalization = normalization
        self._own = weight_normalization(model, pretrained)
        self.chunk = chunk
        self.align_corners = align_corners

    @property
    def size(self) -> Sequence[int]:
        """Height and width of the input of CLIP."""
        return self.tower.module.image_size

    def forward(
        self, images: Tensor, maps: Tensor, pairs: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return embeddings of the object regions and of the rest.

        Args:
            images: RGB images in 0..255, (B, 3, H, W).
            maps: Activation maps P in [0, 1], (B, K, h, w).
            pairs: Images and classes of M pairs; see :func:`find_pairs`.

        Returns:
            Two unit embeddings, float32, (M, E). Only the maps get a
            gradient.
        """
        with torch.no_grad():
            images = normalize_images(images, self.normalization, self._own)
        regions = torch.cat(
            mask_regions(
                images,
                maps,
                pairs,
                self.size,
                align_corners=self.align_corners,
            )
        )
        embeddings = F.normalize(self.embed(regions).float(), dim=-1)
        inside, rest = embeddings.chunk(2)
        return inside, rest

    def embed(self, regions: Tensor) -> Tensor:
        """Encode normalised regions (R, 3, *size) as (R, E), of any length."""
        if not len(regions):
            return regions.new_zeros(0, self.embed_dim)
        chunk = self.chunk or len(regions)
        if len(regions) <= chunk:
            return self.tower.module(regions)
        return torch.cat(
            [
                checkpoint(self.tower.module, part, use_reentrant=False)
                for part in regions.split(chunk)
            ]
        )
