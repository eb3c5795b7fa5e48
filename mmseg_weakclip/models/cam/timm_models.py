"""timm's models as makers of feature maps: build and inspect.

Whole models are kept, under timm's own names of their tensors, so that a
checkpoint of a classifier fits them; timm's ``features_only`` renames tensors.
What a model gives is found out on the meta device, without computing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn

# Sides of the images of the inspection, multiples of all usual patches: a
# model for images of one size fails on one of them. Windows of a fixed grid
# fail on the odd size, to which a ViT need not come, since it gets images of
# whole patches.
SIDES = (448, 672)
ODD = (451, 389)


@dataclass(frozen=True)
class TimmMaps:
    """What a timm model gives for an image.

    Attributes:
        channels: Channels of each map.
        strides: Pixels of the image per position of each map.
        reached: Names of the parameters that the maps depend on.
        is_vit: Whether the maps are made of tokens of patches.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    reached: frozenset[str]
    is_vit: bool


def timm_normalization(
    name: str,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of a model's images, RGB, 0..255.

    Args:
        name: Name of a timm model; its tag may matter.

    Raises:
        ValueError: timm has no such model.
    """
    network = build_timm_model(name, device='meta')
    settings = resolve_model_data_config(network)
    mean, std = (
        tuple(round(255 * value, 3) for value in settings[key])
        for key in ('mean', 'std')
    )
    return mean, std


def build_timm_model(
    name: str, output_stride: int | None = None, device: str = 'cpu'
) -> nn.Module:
    """Build a timm model without a classifier, with random weights.

    Args:
        name: Name of a timm model, with or without a tag.
        output_stride: Stride of the last map, by dilation; None keeps the
            model's own.
        device: Device of the model.

    Raises:
        ValueError: timm has no such model, or the model cannot have the
            stride.
    """
    if not timm.is_model(name.split('.')[0]):
        raise ValueError(
            f'timm has no model {name!r}; timm.list_models("*lite0*") lists '
            'some'
        )
    options: dict[str, Any] = dict(num_classes=0)
    with torch.device(device):
        if output_stride is None:
            network = timm.create_model(name, **options)
            # A ViT for images of any size.
            if hasattr(network, 'dynamic_img_size'):
                try:
                    network = timm.create_model(
                        name, dynamic_img_size=True, **options
                    )
                except TypeError:  # others call a size of theirs so
                    return network
            return network
        try:
            return timm.create_model(
                name, output_stride=output_stride, **options
            )
        except (
            AssertionError,
            NotImplementedError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            raise ValueError(
                f'timm model {name!r} cannot have output_stride='
                f'{output_stride}: leave it out, or choose a CNN with '
                f'dilation ({type(error).__name__}: {error})'
            ) from error


def feature_maps(
    network: nn.Module, images: Tensor, levels: Sequence[int], *, last: bool
) -> list[Tensor]:
    """Return maps of a timm model.

    Args:
        network: Model of :func:`build_timm_model`.
        images: Normalised images, (B, 3, H, W).
        levels: Indices of timm's feature levels, ascending.
        last: Whether the features before the model's pooling follow.

    Returns:
        Maps (B, C, h, w), the levels first.
    """
    maps: list[Tensor] = []
    if levels and not last:
        return network.forward_intermediates(
            images,
            indices=list(levels),
            norm=True,
            stop_early=True,
            intermediates_only=True,
        )
    if levels:
        final, maps = network.forward_intermediates(
            images, indices=list(levels), norm=True
        )
    else:
        final = network.forward_features(images)
    if final.ndim == 3:  # tokens, those of the image as a whole first
        tokens = final[:, getattr(network, 'num_prefix_tokens', 0) :]
        rows, columns = network.patch_embed.dynamic_feat_size(images.shape[2:])
        final = tokens.transpose(1, 2).unflatten(2, (rows, columns))
    elif getattr(network, 'output_fmt', 'NCHW') == 'NHWC':
        final = final.permute(0, 3, 1, 2)
    return [*maps, final]


@lru_cache(maxsize=64)
def inspect_timm_model(
    name: str,
    output_stride: int | None = None,
    levels: tuple[int, ...] = (),
    *,
    last: bool = True,
) -> TimmMaps:
    """Find out which maps a timm model gives, without computing them.

    Args:
        name: Name of a timm model.
        output_stride: See :func:`build_timm_model`.
        levels: See :func:`feature_maps`.
        last: See :func:`feature_maps`.

    Raises:
        ValueError: timm has no such model, it has no such levels, or it gives
            no feature maps for images of any size.
    """
    if not levels and not last:
        raise ValueError(
            f'timm model {name!r} is asked for no map: give out_indices, or '
            'last=True'
        )
    # Whatever the caller computes without.
    with torch.inference_mode(mode=False), torch.enable_grad():
        return _inspect(name, output_stride, levels, last=last)


def _inspect(
    name: str,
    output_stride: int | None,
    levels: tuple[int, ...],
    *,
    last: bool,
) -> TimmMaps:
    network = build_timm_model(name, output_stride, 'meta')
    number = len(network.feature_info or ())
    if any(not 0 <= level < number for level in levels):
        raise ValueError(
            f'timm model {name!r} has the feature levels 0 to {number - 1}, '
            f'not all of {tuple(levels)}'
        )
    is_vit = hasattr(network, 'blocks') and hasattr(network, 'patch_embed')
    sizes = []
    try:
        if not is_vit:
            images = torch.zeros(2, 3, *ODD, device='meta')
            feature_maps(network, images, levels, last=last)
        for side in SIDES:
            images = torch.zeros(2, 3, side, SIDES[0], device='meta')
            maps = feature_maps(network, images, levels, last=last)
            sizes.append([tuple(one.shape) for one in maps])
    except Exception as error:  # a model may raise anything
        raise ValueError(
            _no_maps(name, f'{type(error).__name__}: {error}')
        ) from error
    small, large = sizes
    for one, other in zip(small, large):
        if len(one) != 4 or other != (
            *one[:2],
            one[2] * SIDES[1] // SIDES[0],
            one[3],
        ):
            raise ValueError(_no_maps(name, f'its output is {one}, {other}'))
    parameters = dict(network.named_parameters())
    found = torch.autograd.grad(
        sum(one.sum() for one in maps),
        list(parameters.values()),
        allow_unused=True,
    )
    return TimmMaps(
        tuple(shape[1] for shape in small),
        tuple(SIDES[0] // shape[2] for shape in small),
        frozenset(n for n, g in zip(parameters, found) if g is not None),
        is_vit,
    )


def _no_maps(name: str, problem: str) -> str:
    return (
        f'timm model {name!r} gives no feature maps for images of any size: '
        'choose a CNN such as tf_efficientnet_lite0 or resnet50, or a plain '
        f'ViT ({problem})'
    )
