"""Seeds that another model's features spread: flags, checks, and config."""

import argparse
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_weakclip.apps.errors import UserError

from .options import CLASSIFIERS, SEEDS, TIMM, Options

# Values of --affinity besides names of timm models.
CLIP, DINOV2 = 'clip', 'dinov2'
DINOV2_MODEL = 'vit_small_patch14_dinov2.lvd142m'
# Of the other model beside CLIP's attention: SSR (AAAI 2026) has .4 and .6.
SHARE = 0.6


def add_affinity_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the flags of the affinity that spreads seeds."""
    group.add_argument(
        '--affinity',
        help='whose features spread the seeds over what looks alike: "clip" '
        '(the default of methods with CLIP), "dinov2", or a model of timm',
    )
    group.add_argument(
        '--affinity-weights',
        help='its weights: "timm" (the default), a file, or "none"',
    )


def affinity_model(options: Options) -> str | None:
    """Return the timm model that spreads the seeds; None for none."""
    if options.affinity in (None, CLIP):
        return None
    return DINOV2_MODEL if options.affinity == DINOV2 else options.affinity


def check_affinity(options: Options) -> None:
    """Check the choice of an affinity, before anything is done.

    Raises:
        UserError: The method has no class maps, or no attention of CLIP;
            timm has no such model, it gives no feature maps, or its file is
            not there.
    """
    weights = options.affinity_weights
    name = affinity_model(options)
    if weights is not None and name is None:
        raise UserError(
            f'--affinity-weights {weights}: name their model by --affinity, '
            f'such as {DINOV2}'
        )
    if options.affinity is not None and options.method == SEEDS:
        raise UserError(
            f'--affinity {options.affinity}: --method {SEEDS} makes no class '
            'maps that could be spread; leave it out'
        )
    if options.affinity == CLIP and options.method in CLASSIFIERS:
        raise UserError(
            f'--affinity {CLIP}: the maps of --method {options.method} are '
            f"not spread by CLIP's attention; give {DINOV2} or a model of "
            'timm, or leave it out'
        )
    if weights not in (None, 'none', TIMM) and not Path(weights).is_file():
        raise UserError(
            f'--affinity-weights {weights} does not exist; give a file, '
            f'"{TIMM}", or "none" for random weights'
        )
    if name is not None:
        from mmseg_weakclip.models.cam.timm_models import inspect_timm_model

        try:
            inspect_timm_model(name)
        except ValueError as error:
            raise UserError(f'--affinity: {error}') from error


def set_affinity(cfg: Config, options: Options) -> None:
    """Let another model spread the class maps of a config of seeds.

    CAMs of a classifier are averaged over positions where the model's
    features are alike. Maps of CLIP are spread along CLIP's attention with a
    share of the model's affinity, or along the latter alone where the config
    has no affinity.

    Args:
        cfg: Config of seeds, changed in place.
        options: Options of the user.
    """
    name = affinity_model(options)
    if name is None:
        return
    model: Any = cfg.model
    weights = options.affinity_weights or TIMM
    normalization = model.data_preprocessor
    guide = dict(
        model=name,
        pretrained={TIMM: True, 'none': None}.get(weights, weights),
        mean=list(normalization.mean),
        std=list(normalization.std),
    )
    head = model.decode_head
    if head.type in ('CAMHead', 'CLIMSHead'):
        model.type = 'GuidedEncoderDecoder'
        model.guide = dict(type='TimmFeatures', **guide)
        head.correlation = dict(levels=(0,))
        return
    model.backbone.guide = dict(type='TimmAffinity', grid='clip', **guide)
    given = head.get('affinity')
    head.affinity = dict(given or {}, guide_share=SHARE if given else 1.0)
