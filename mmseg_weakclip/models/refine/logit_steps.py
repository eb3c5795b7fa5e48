"""Steps that refine the logits of a zero-shot segmentor.

A step may work on the logits of texts at the patches of all windows of an
image, on those of classes at its pixels, or on both; see
:class:`ZeroShotSegmentor`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_weakclip.common.options import check_options

from .label_propagation import check_propagation, propagate_maps
from .par import PAMR_OPTIONS, refine_by_pixels, resolve_par
from .pixel_correlation import unit_features
from .pixel_propagation import propagate_pixels


class LogitStep(BaseModule):
    """A step that changes nothing; see the module's docstring.

    Attributes:
        at_patches: Whether the step works on patches.
    """

    at_patches = False

    def describe(self, images: Tensor, patches: Tensor) -> Tensor:
        """Return features of images for :meth:`refine_patches`.

        Args:
            images: Windows, normalised for CLIP, (B, 3, H, W).
            patches: CLIP's patch embeddings of them, (B, E, h, w).

        Returns:
            (B, C, n, m).
        """
        return patches

    def refine_patches(
        self, logits: Tensor, features: Tensor, places: Tensor
    ) -> Tensor:
        """Refine the logits of texts at the patches of one image.

        Args:
            logits: Of each window, (W, M, h, w).
            features: Of :meth:`describe`, (W, C, n, m).
            places: Rows and columns of all patches in pixels of the image,
                (W * h * w, 2).

        Returns:
            (W, M, h, w).
        """
        return logits

    def refine_pixels(self, colors: Tensor, logits: Tensor) -> Tensor:
        """Refine the logits of classes at the pixels.

        Args:
            colors: sRGB colours in [0, 1], (B, 3, H, W).
            logits: (B, K, H, W).

        Returns:
            (B, K, H, W).
        """
        return logits


@MODELS.register_module()
class PAMR(LogitStep):
    """Pixel-adaptive mask refinement on logits, as NACLIP has it.

    See :func:`refine_by_pixels`; defaults are those of NACLIP.

    Args:
        options: Arguments that differ from ``PAMR_OPTIONS``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = resolve_par({**PAMR_OPTIONS, **options})

    def refine_pixels(self, colors: Tensor, logits: Tensor) -> Tensor:
        """Average logits over neighbours of the same colour."""
        return refine_by_pixels(colors, logits, **self.options)


@MODELS.register_module()
class LabelPropagation(LogitStep):
    """Label propagation on logits (LPOSS and LPOSS+, CVPR 2025).

    One graph joins the patches of all windows of an image, which keeps
    4 N^2 numbers of N patches while it is made: 250 MB for 20 windows of 14 x
    14 patches.

    Args:
        guide: Config of a module that turns images (B, 3, H, W) into
            features (B, C, h, w), such as ``TimmFeatures``; LPOSS has the
            values of the last block of DINO's ViT-B/16
            (``source='value'``). None takes CLIP's patch embeddings.
        pixels: Arguments of :func:`propagate_pixels`, the second step of
            LPOSS+; an empty dict takes its defaults. None is without.
        options: Arguments of :func:`propagate_maps` and
            :func:`propagation_graph`.

    Raises:
        ValueError: There is no such argument, or one has a wrong value.
    """

    at_patches = True

    def __init__(
        self,
        guide: ConfigType | None = None,
        pixels: Mapping[str, Any] | None = None,
        **options: float,
    ) -> None:
        super().__init__()
        if 'levels' in options:
            raise ValueError(
                'LabelPropagation has no levels, which are of the heads: set '
                "guide=dict(type='TimmFeatures', ...) for another model's "
                'features'
            )
        self.guide = None if guide is None else MODELS.build(guide)
        self.pixels = None if pixels is None else dict(pixels)
        self.options = options
        check_propagation(options)
        check_options(
            'pixels',
            self.pixels,
            partial(
                propagate_pixels,
                torch.zeros(1, 3, 1, 1),
                torch.zeros(1, 1, 1, 1),
            ),
        )

    def describe(self, images: Tensor, patches: Tensor) -> Tensor:
        """Return the guide's features, or CLIP's."""
        return patches if self.guide is None else self.guide(images)

    def refine_patches(
        self, logits: Tensor, features: Tensor, places: Tensor
    ) -> Tensor:
        """Spread the logits of texts over all patches of the image."""
        windows, _, height, width = logits.shape
        unit = unit_features([features], (height, width), centred=False)
        # Windows one below the other are one map.
        maps = logits.transpose(0, 1).flatten(1, 2)[None]
        spread = propagate_maps(
            maps, unit.flatten(0, 1)[None], places, **self.options
        )
        return spread[0].unflatten(1, (windows, height)).transpose(0, 1)

    def refine_pixels(self, colors: Tensor, logits: Tensor) -> Tensor:
        """Spread the logits of classes over pixels, with ``pixels``."""
        if self.pixels is None:
            return logits
        return propagate_pixels(colors, logits, **self.pixels)


def build_steps(
    steps: ConfigType | Sequence[ConfigType] | None,
) -> nn.ModuleList:
    """Build the steps of a config, or of a list of them.

    Raises:
        TypeError: A part is no :class:`LogitStep`.
    """
    if isinstance(steps, Mapping):
        steps = [steps]
    built = nn.ModuleList(MODELS.build(step) for step in steps or ())
    for step in built:
        if not isinstance(step, LogitStep):
            raise TypeError(
                f'refine has a {type(step).__name__}, which does not refine '
                "logits; there are 'PAMR' and 'LabelPropagation'"
            )
    return built


def window_places(
    boxes: Sequence[tuple[slice, slice]],
    grid: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """Return the places of the patches of all windows, in pixels.

    Args:
        boxes: Rows and columns of each of W windows of one size.
        grid: Rows and columns (h, w) of patches of a window.
        device: Device of the result.

    Returns:
        float32, (W * h * w, 2).
    """
    places = []
    for sides in boxes:
        along = [
            side.start
            + (side.stop - side.start)
            / count
            * torch.arange(count, dtype=torch.float32, device=device)
            for side, count in zip(sides, grid)
        ]
        places.append(torch.cartesian_prod(*along))
    return torch.cat(places)
