"""Affinities between patches from another model (ProxyCLIP)."""

import timm
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor

from .similarity import centred_similarity, positive_softmax
from .vision import CLIP_MEAN, CLIP_STD, CLIPTower


@MODELS.register_module()
class TimmAffinity(BaseModule):
    """Affinities between the patches of an image by a timm model.

    Lan et al., ProxyCLIP, ECCV 2024: softmax of gamma * (cos - beta * mean),
    without negative entries.

    Args:
        model: Name of a timm model with ``forward_intermediates``, such as
            ``'vit_base_patch8_224.dino'``: ViTs, convolutional networks.
        pretrained: Whether timm loads weights; random otherwise.
        beta: Factor of the mean similarity that is subtracted.
        gamma: Sharpness, a factor of the similarities.
        grid: ``'own'`` keeps the model's patches, to which CLIP's values are
            then resized, as published; ``'clip'`` resizes its features to
            CLIP's patches, to combine the maps with other terms or attention.
        mean: Mean that the images for CLIP are normalised with, RGB, 0..255;
            they are normalised again for the timm model.
        std: Standard deviation that they are normalised with.
        model_options: Further arguments of ``timm.create_model``.

    Raises:
        ValueError: timm has no such model, or ``grid`` is not allowed.
    """

    def __init__(
        self,
        model: str,
        *,
        pretrained: bool = True,
        beta: float = 1.2,
        gamma: float = 3.0,
        grid: str = 'own',
        mean: tuple[float, float, float] = CLIP_MEAN,
        std: tuple[float, float, float] = CLIP_STD,
        model_options: dict | None = None,
    ) -> None:
        super().__init__()
        if grid not in ('own', 'clip'):
            raise ValueError(f"grid={grid!r} must be 'own' or 'clip'")
        if not timm.is_model(model.split('.')[0]):
            raise ValueError(
                f'timm has no model {model!r}; timm.list_models("*dino*") '
                'lists some'
            )
        options = dict(model_options or {}, num_classes=0)
        with torch.device('meta'):
            sketch = timm.create_model(model, **options)
        if hasattr(sketch, 'dynamic_img_size'):  # a ViT, for any image then
            options['dynamic_img_size'] = True
        # Patches of a ViT; what a convolutional network shrinks by.
        self.step = sketch.feature_info[-1]['reduction']
        network = timm.create_model(model, pretrained=pretrained, **options)
        settings = timm.data.resolve_model_data_config(network)
        self.tower = CLIPTower(network, frozen=True, reloadable=pretrained)
        self.beta = beta
        self.gamma = gamma
        self.grid = grid
        theirs = [
            255 * torch.tensor(settings[name]) for name in ('mean', 'std')
        ]
        ours = torch.tensor(mean), torch.tensor(std)
        scale, shift = ours[1] / theirs[1], (ours[0] - theirs[0]) / theirs[1]
        for name, value in (('scale', scale), ('shift', shift)):
            self.register_buffer(name, value[:, None, None], persistent=False)

    @torch.no_grad()
    def forward(
        self, images: Tensor, grid: tuple[int, int]
    ) -> tuple[Tensor, tuple[int, int]]:
        """Return the affinities of patches.

        Args:
            images: Images normalised for CLIP, (B, 3, H, W), cut to whole
                patches.
            grid: Rows and columns (h, w) of CLIP's patches.

        Returns:
            (B, n * m, n * m), float32, rows that sum to one, and the grid
            (n, m).
        """
        images = images * self.scale + self.shift
        size = [
            max(1, round(side / self.step)) * self.step
            for side in images.shape[-2:]
        ]
        if size != list(images.shape[-2:]):
            images = F.interpolate(images, size, mode='bilinear')
        (features,) = self.tower.module.forward_intermediates(
            images, indices=1, norm=True, intermediates_only=True
        )
        features = features.float()
        own = tuple(features.shape[2:])
        if self.grid == 'own':
            grid = own
        # Means over CLIP's patches where the features are finer.
        elif own[0] >= grid[0] and own[1] >= grid[1]:
            features = F.adaptive_avg_pool2d(features, grid)
        else:
            features = F.interpolate(features, grid, mode='bilinear')
        scores = centred_similarity(
            features.flatten(2).transpose(1, 2), self.beta, self.gamma
        )
        return positive_softmax(scores), tuple(grid)
