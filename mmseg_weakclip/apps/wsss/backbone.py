"""The backbone of a method's classifier: its flags, checks, and config."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.datasets.configs import iter_dicts

from .options import CLASSIFIERS, TIMM, WITHOUT_CLIP, Options

TIMM_MAPS = 'TimmFeatureMaps'
# Stride of the last map, where a CNN can have it: 32 is coarse.
OUTPUT_STRIDE = 16


def add_backbone_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the flags of a classifier's backbone."""
    group.add_argument(
        '--backbone',
        help='timm model of the classifier of --method '
        f'{", ".join(CLASSIFIERS)}: a CNN, or a plain ViT (default of cam: '
        'tf_efficientnet_lite0)',
    )
    group.add_argument(
        '--backbone-weights',
        help='what it starts from: "timm" (the default) for timm\'s own '
        'weights, which may be downloaded; a file, also of a whole '
        'classifier; or "none"',
    )


def check_backbone(options: Options) -> None:
    """Check the choice of a backbone, before anything is done.

    Raises:
        UserError: The method has no classifier, or no CLIP; timm has no such
            model, it gives no feature maps, or its file is not there.
    """
    chosen = options.backbone or options.backbone_weights
    if chosen and options.method not in CLASSIFIERS:
        flag = '--backbone' if options.backbone else '--backbone-weights'
        raise UserError(
            f'{flag} {chosen}: --method {options.method} trains no '
            f'classifier; methods that do: {", ".join(CLASSIFIERS)}'
        )
    weights = options.backbone_weights
    if weights not in (None, 'none', TIMM) and not Path(weights).is_file():
        raise UserError(
            f'--backbone-weights {weights} does not exist; give a file, '
            f'"{TIMM}", or "none" for random weights'
        )
    if options.backbone is not None:
        from mmseg_weakclip.models.cam.timm_models import inspect_timm_model

        try:
            inspect_timm_model(options.backbone)
        except ValueError as error:
            raise UserError(f'--backbone: {error}') from error


def uses_clip(options: Options) -> bool:
    """Return whether any stage of a run uses CLIP."""
    return options.method not in WITHOUT_CLIP


def check_no_clip(options: Options, given: Mapping[str, Any]) -> None:
    """Check that no CLIP is asked for where none is used.

    Args:
        options: Options of the user.
        given: Flags of this call.

    Raises:
        UserError: A CLIP is asked for.
    """
    for name in ('clip', 'clip_weights', 'clip_size'):
        if name in given and not uses_clip(options):
            raise UserError(
                f'--{name.replace("_", "-")} {given[name]}: --method '
                f'{options.method} uses no CLIP; leave it out'
            )
    if 'clip_size' in given and options.method in CLASSIFIERS:
        raise UserError(
            f'--clip-size {given["clip_size"]}: --method {options.method} '
            'makes its maps with a classifier, at the sizes of its own '
            'config; leave it out'
        )


def set_backbone(cfg: Config, options: Options) -> None:
    """Set the user's backbone and its weights in a classifier's config.

    Mean and standard deviation of the images become those of the backbone. A
    config whose model is no classifier, such as WeakCLIP's, is left as it is.

    Args:
        cfg: Config with a ``CAMHead`` or ``CLIMSHead``, changed in place.
        options: Options of the user.
    """
    model: Any = cfg.get('model') or {}
    head: Any = model.get('decode_head') or {}
    if head.get('type') not in ('CAMHead', 'CLIMSHead'):
        return
    if options.backbone is not None:
        model.backbone = _backbone(options.backbone)
        model.pretrained = None
        facts = _inspect(model.backbone)
        head.in_channels = facts.channels[-1]
        # Their levels are those of another backbone.
        for name in ('correlation', 'propagation'):
            head.pop(name, None)
        _normalize(model, options.backbone)
    weights = options.backbone_weights
    if weights is None:
        return
    value = {TIMM: True, 'none': None}.get(weights, weights)
    if model.backbone.type == TIMM_MAPS:
        model.backbone.pretrained = value
        if value is None:
            # Nothing to keep: all of it has to learn.
            model.backbone.update(frozen_stages=0, norm_eval=False)
        return
    if value is True:
        raise UserError(
            f'--backbone-weights {TIMM}: the classifier is a '
            f'{model.backbone.type} of mmseg; choose a model of timm by '
            '--backbone'
        )
    model.pretrained = value


def _backbone(name: str) -> dict[str, Any]:
    """Return the config of a backbone, as fine as it can be."""
    from mmseg_weakclip.models.cam.timm_models import build_timm_model

    backbone: dict[str, Any] = dict(
        type=TIMM_MAPS,
        model_name=name,
        pretrained=True,
        frozen_stages=1,
        norm_eval=True,
    )
    try:
        build_timm_model(name, OUTPUT_STRIDE, 'meta')
    except ValueError:  # a ViT, or a CNN without dilation
        return backbone
    return dict(backbone, output_stride=OUTPUT_STRIDE)


def _inspect(backbone: dict[str, Any]) -> Any:
    from mmseg_weakclip.models.cam.timm_models import inspect_timm_model

    return inspect_timm_model(
        backbone['model_name'], backbone.get('output_stride')
    )


def _normalize(model: dict[str, Any], name: str) -> None:
    from mmseg_weakclip.models.cam.timm_models import timm_normalization

    mean, std = timm_normalization(name)
    for part in iter_dicts(model):
        if 'mean' in part and 'std' in part and 'bgr_to_rgb' in part:
            part.update(mean=list(mean), std=list(std), bgr_to_rgb=True)
