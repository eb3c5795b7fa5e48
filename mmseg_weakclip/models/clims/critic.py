"""A frozen CLIP that looks at regions; gradients pass, none stay."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmseg_weakclip.models.clip.vision import CLIPTower
from mmseg_weakclip.models.clip.weights import load_clip


class RegionCritic(nn.Module):
    """CLIP's image tower for the regions of CLIMS.

    Args:
        model: Name of the open_clip model; CLIMS has ViT-B-32.
        pretrained: See :func:`load_clip`.
        normalization: Of what CLIP sees: ``'clip'``, its own, or
            ``'imagenet'``, as published.
        chunk: Regions at a time; None takes all in one call. More than one
            chunk is run again in the backward pass, so that the tower's
            activations of one chunk are all that is held.

    Raises:
        ValueError: See :func:`load_clip`; or ``normalization`` is unknown,
            or ``chunk`` is not positive.
    """

    def __init__(
        self,
        model: str = 'ViT-B-32-quickgelu',
        pretrained: str | None = 'openai',
        normalization: str = 'clip',
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        self.tower = CLIPTower(
            load_clip(model, pretrained).visual,
            frozen=True,
            reloadable=pretrained is not None,
        )
        if chunk is not None and chunk < 1:
            raise ValueError(f'chunk={chunk} must be at least 1')
        normalize_images(torch.zeros(1, 3, 1, 1), normalization)
        self.normalization = normalization
        self.chunk = chunk

    @property
    def size(self) -> Sequence[int]:
        """Height and width that CLIP takes."""
        return self.tower.module.image_size

    def forward(
        self, images: Tensor, maps: Tensor, pairs: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Embeddings of the object regions and of the rest.

        Args:
            images: RGB in 0..255, (B, 3, H, W).
            maps: P in [0, 1], (B, K, h, w).
            pairs: See :func:`find_pairs`.

        Returns:
            Unit length, float32, both (M, E). The gradient reaches the maps
            only.
        """
        with torch.no_grad():
            images = normalize_images(images, self.normalization)
        regions = torch.cat(mask_regions(images, maps, pairs, self.size))
        embeddings = F.normalize(self.embed(regions).float(), dim=-1)
        inside, rest = embeddings.chunk(2)
        return inside, rest

    def embed(self, regions: Tensor) -> Tensor:
        """Normalised images (R, 3, *size) -> (R, E), any length."""
        if not len(regions):
            return regions.new_zeros(0, self.tower.module.output_dim)
        chunk = self.chunk or len(regions)
        if len(regions) <= chunk:
            return self.tower.module(regions)
        return torch.cat(
            [
                checkpoint(self.tower.module, part, use_reentrant=False)
                for part in regions.split(chunk)
            ]
        )


# What CLIP was trained with, and ImageNet's, which CLIMS' code gives to CLIP
# too; both for RGB in 0..255.
NORMALIZATIONS = {
    'clip': ((122.771, 116.746, 104.094), (68.501, 66.632, 70.323)),
    'imagenet': ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}


def normalize_images(images: Tensor, name: str) -> Tensor:
    """RGB in 0..255 of any type, (B, 3, H, W) -> float32, normalised.

    Raises:
        ValueError: There is no normalisation of this name.
    """
    if name not in NORMALIZATIONS:
        raise ValueError(
            f'normalization={name!r} must be one of {sorted(NORMALIZATIONS)}'
        )
    mean, std = (
        torch.tensor(values, device=images.device)[:, None, None]
        for values in NORMALIZATIONS[name]
    )
    return (images.float() - mean) / std


def find_pairs(present: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of an image and a class that it has.

    Args:
        present: bool, (B, K).

    Returns:
        Places of the images and ids of the classes, both (M,), image by
        image.
    """
    images, labels = present.nonzero(as_tuple=True)
    return images, labels


def mask_regions(
    images: Tensor,
    maps: Tensor,
    pairs: tuple[Tensor, Tensor],
    size: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """What a map lets through of its image, and what it holds back.

    ``X * P`` and ``X * (1 - P)`` (CLIMS, CVPR 2022, Eq. 2) in normalised
    space, where a pixel that is held back has the mean colour.

    Args:
        images: X, normalised, (B, 3, H, W).
        maps: P in [0, 1], (B, K, h, w), of the same view.
        pairs: See :func:`find_pairs`.
        size: Height and width of CLIP's input.

    Returns:
        Object regions and the rest, both (M, 3, *size).
    """
    rows, labels = pairs
    # Resized before they are picked: an image may be in several pairs.
    images = F.interpolate(images, tuple(size), mode='bilinear')[rows]
    masks = maps[rows, labels][:, None].float()
    masks = F.interpolate(masks, tuple(size), mode='bilinear')
    inside = masks * images
    return inside, images - inside
