"""A frozen CLIP that looks at regions; gradients pass, none stay."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..clip import CLIPTower, load_clip
from .regions import mask_regions, normalize_images


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
