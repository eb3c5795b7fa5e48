"""SegCLIP's released weights under the names that they have here.

The file is a flat dict. Its CLIP parts have CLIP's own names, with the blocks
before and behind the grouping numbered apart; they become those of a
``GroupingCLIPViT`` with a ``SemanticGroup`` and of a ``decode_head`` that
holds a text bank as ``text`` and a ``logit_scale``. What belongs to the
reconstruction becomes an ``auxiliary_head`` (see ``segclip_reconstruction``)
or is dropped.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import open_clip
from torch import Tensor

from mmseg_weakclip.models.clip.text_tower import TextTower
from mmseg_weakclip.models.clip.vision import VisionTower
from mmseg_weakclip.models.clip.weights import load_clip
from mmseg_weakclip.models.segclip.grouping import SemanticGroup

Shapes = Mapping[str, tuple[int, ...]]

VISUAL = 'clip.visual.transformer.'
GROUP = f'{VISUAL}semantic_layer2.'
RECONSTRUCTION = (
    f'{VISUAL}layers_mae2.',
    f'{VISUAL}reconstruct_layer2.',
    'vis_mae_decoder.',
)
TOWER = 'backbone.tower.'
OUR_GROUP = 'backbone.group.'
TEXT_TOWER = 'decode_head.text.tower.'
LOGIT_SCALE = 'decode_head.logit_scale'

BLOCK = re.compile(re.escape(VISUAL) + r'(layers0|layers2)\.(\d+)\.(.+)')
IMAGE_PART = re.compile(
    r'clip\.visual\.(conv1\..+|ln_(?:pre|post)\..+|class_embedding'
    r'|positional_embedding|proj)'
)
TEXT_PART = re.compile(
    r'clip\.(transformer\.resblocks\..+|token_embedding\..+|ln_final\..+'
    r'|positional_embedding|text_projection)'
)
# Modules of the grouping, and of each of its cross layers.
GROUP_PARTS = {
    'norm': 'patch_norm',
    'cross_ln': 'center_norm',
    'k_conv': 'key',
    'k_ln': 'key_norm',
    'v_conv': 'value',
    'proj_o.ln': 'group_norm',
    'proj_o.mlp.fc1': 'group_mlp.0',
    'proj_o.mlp.fc2': 'group_mlp.2',
}
CROSS_PARTS = {
    'ln_x': 'query_norm',
    'ln_k': 'key_norm',
    'attn': 'attention',
    'attn.out_proj': 'attention.out_proj',
    'ln_2': 'mlp_norm',
    'mlp.c_fc': 'mlp.0',
    'mlp.c_proj': 'mlp.2',
}
CENTERS = ('semantic_center', 'centers')
CROSS_LAYER = re.compile(r'cross_att\.(\d+)\.(.+)')


@dataclass(frozen=True)
class ReleasedWeights:
    """The tensors of a released file, by what becomes of them.

    Attributes:
        weights: Those that have a place here, by our names.
        reconstruction: Those of the reconstruction, by the names in the file.
        dropped: Names in the file of those that are not taken.
        group_after: Number of blocks before the grouping.
    """

    weights: dict[str, Tensor]
    reconstruction: dict[str, Tensor]
    dropped: tuple[str, ...]
    group_after: int


def clip_name(name: str, group_after: int) -> str | None:
    """Return our name of a tensor of CLIP; None if it is none."""
    if name == 'clip.logit_scale':
        return LOGIT_SCALE
    if match := BLOCK.fullmatch(name):
        part, number, rest = match.groups()
        index = int(number) + (group_after if part == 'layers2' else 0)
        return f'{TOWER}module.transformer.resblocks.{index}.{rest}'
    if match := IMAGE_PART.fullmatch(name):
        return f'{TOWER}module.{match[1]}'
    if match := TEXT_PART.fullmatch(name):
        return f'{TEXT_TOWER}module.{match[1]}'
    return None


def group_name(name: str) -> str | None:
    """Return our name of a tensor of the grouping; None if it is none."""
    short = name.removeprefix(GROUP)
    if short == CENTERS[0]:
        return OUR_GROUP + CENTERS[1]
    prefix, parts = '', GROUP_PARTS
    if match := CROSS_LAYER.fullmatch(short):
        prefix, parts = f'blocks.{match[1]}.', CROSS_PARTS
        short = match[2]
    module, _, leaf = short.rpartition('.')
    if name == short or module not in parts:
        return None
    return f'{OUR_GROUP}{prefix}{parts[module]}.{leaf}'


def sort_weights(
    state: Mapping[str, Tensor], drop: Sequence[str] = ()
) -> ReleasedWeights:
    """Find out what is what in a released file.

    Args:
        state: The file.
        drop: How names begin that are not taken.

    Raises:
        ValueError: There is no grouping in it, or a name that nothing is
            known of.
    """
    numbers = [
        int(match[2])
        for match in map(BLOCK.fullmatch, state)
        if match and match[1] == 'layers0'
    ]
    group_after = max(numbers, default=-1) + 1
    if not group_after or not any(name.startswith(GROUP) for name in state):
        raise ValueError(
            f'these are not weights of SegCLIP: no name begins with {GROUP!r} '
            f"or none with '{VISUAL}layers0.'; the first names are "
            f'{list(state)[:5]}'
        )
    weights, reconstruction, dropped, unknown = {}, {}, [], []
    for name, value in state.items():
        ours = clip_name(name, group_after) or group_name(name)
        if drop and name.startswith(tuple(drop)):
            dropped.append(name)
        elif name.startswith(RECONSTRUCTION):
            reconstruction[name] = value
        elif ours:
            weights[ours] = value
        else:
            unknown.append(name)
    if unknown:
        raise ValueError(
            f'nothing is known of {unknown}: if the model can do without '
            'them, give how they begin as `drop`'
        )
    return ReleasedWeights(
        weights, reconstruction, tuple(dropped), group_after
    )


def expected_shapes(
    model: str, num_centers: int = 8, num_cross_layers: int = 2
) -> dict[str, tuple[int, ...]]:
    """Return the shapes that a SegCLIP of this package takes from a file.

    Args:
        model: Name of the open_clip model.
        num_centers: See :class:`SemanticGroup`.
        num_cross_layers: See :class:`SemanticGroup`.

    Raises:
        ValueError: See :func:`load_clip`.
    """
    clip = load_clip(model, None)
    width = open_clip.get_model_config(model)['vision_cfg']['width']
    parts = {
        TOWER: VisionTower(clip.visual, frozen=False),
        OUR_GROUP: SemanticGroup(
            width, num_centers=num_centers, num_cross_layers=num_cross_layers
        ),
        TEXT_TOWER: TextTower(clip, frozen=False),
    }
    shapes = {
        prefix + name: tuple(value.shape)
        for prefix, part in parts.items()
        for name, value in part.state_dict().items()
    }
    return shapes | {LOGIT_SCALE: ()}


def check_weights(weights: Mapping[str, Tensor], expected: Shapes) -> None:
    """Check that a model has a place for each tensor, and gets them all.

    Args:
        weights: Tensors by our names.
        expected: Shape of each tensor that the model takes.

    Raises:
        ValueError: A tensor is missing, too many, or of another shape; the
            message names all of them.
    """
    problems = []
    for name, value in weights.items():
        if name not in expected:
            problems.append(f'the model has no {name!r}')
        elif tuple(value.shape) != expected[name]:
            problems.append(
                f'{name!r} is {tuple(value.shape)}, the model has '
                f'{expected[name]}'
            )
    problems += [
        f'nothing becomes {name!r}' for name in expected if name not in weights
    ]
    if problems:
        raise ValueError('; '.join(problems))
