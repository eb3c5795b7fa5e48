"""SegCLIP's released weights under the names that they have here.

The file is a flat dict. Its CLIP parts have CLIP's own names, with the blocks
before and behind the grouping numbered apart; they become those of a
``GroupingCLIPViT`` with a ``SemanticGroup`` and of a ``decode_head`` that
holds a text bank as ``text`` and a ``logit_scale``. What the tensors of the
grouping are called is for the user to say, in a table: see
:func:`match_by_shape`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

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


@dataclass(frozen=True)
class ReleasedWeights:
    """The tensors of a released file, by what becomes of them.

    Attributes:
        clip: Those of CLIP, by our names.
        group: Those of the grouping, by the names in the file, without their
            common prefix.
        dropped: Names in the file of those that are not taken.
        group_after: Number of blocks before the grouping.
    """

    clip: dict[str, Tensor]
    group: dict[str, Tensor]
    dropped: tuple[str, ...]
    group_after: int


def clip_name(name: str, group_after: int) -> str | None:
    """Our name of a tensor of CLIP; None if it is none."""
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


def sort_weights(
    state: Mapping[str, Tensor], drop: Sequence[str] = ()
) -> ReleasedWeights:
    """Find out what is what in a released file.

    Args:
        state: The file.
        drop: How names begin that are not taken, beside those of the
            reconstruction.

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
    clip, group, dropped, unknown = {}, {}, [], []
    for name, value in state.items():
        if name.startswith((*RECONSTRUCTION, *drop)):
            dropped.append(name)
        elif name.startswith(GROUP):
            group[name.removeprefix(GROUP)] = value
        elif ours := clip_name(name, group_after):
            clip[ours] = value
        else:
            unknown.append(name)
    if not group or not group_after:
        raise ValueError(
            f'these are not weights of SegCLIP: no name begins with {GROUP!r} '
            f"or none with '{VISUAL}layers0.'; the first names are "
            f'{list(state)[:5]}'
        )
    if unknown:
        raise ValueError(
            f'nothing is known of {unknown}: if the model can do without '
            'them, give how they begin as `drop`'
        )
    return ReleasedWeights(clip, group, tuple(dropped), group_after)


def expected_shapes(
    model: str, num_centers: int = 8, num_cross_layers: int = 2
) -> dict[str, tuple[int, ...]]:
    """What a SegCLIP of this package takes from a file.

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


def group_shapes(expected: Shapes) -> dict[str, tuple[int, ...]]:
    """Those of the grouping, by the names inside of it."""
    return {
        name.removeprefix(OUR_GROUP): shape
        for name, shape in expected.items()
        if name.startswith(OUR_GROUP)
    }


def squeeze(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its ones.

    A 1 x 1 convolution may have one or two of them, and the centres may have
    a batch of one.
    """
    return tuple(size for size in shape if size != 1)


def match_by_shape(theirs: Shapes, ours: Shapes) -> dict[str, str | None]:
    """A table of names, as far as shapes can tell.

    Returns:
        Our name for each of theirs; None where several have its shape, or
        none has.
    """
    table = {}
    for name, shape in theirs.items():
        twins = [n for n, s in theirs.items() if squeeze(s) == squeeze(shape)]
        found = [n for n, s in ours.items() if squeeze(s) == squeeze(shape)]
        unique = len(twins) == len(found) == 1
        table[name] = found[0] if unique else None
    return table


def describe_names(theirs: Shapes, ours: Shapes) -> str:
    """Both sides beside each other, in lines of shape, theirs, ours."""
    rows = [('shape', 'in the file', 'here')]
    shapes = {squeeze(s) for s in (*theirs.values(), *ours.values())}
    for shape in sorted(shapes, key=lambda s: (-len(s), s)):
        sides = (
            [f'{n} {s}' for n, s in side.items() if squeeze(s) == shape]
            for side in (theirs, ours)
        )
        rows += [
            (str(shape), *pair) for pair in zip_longest(*sides, fillvalue='-')
        ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join(
        '  '.join(map(str.ljust, row, widths)).rstrip() for row in rows
    )


def convert_weights(
    released: ReleasedWeights,
    table: Mapping[str, str | None],
    expected: Shapes,
) -> dict[str, Tensor]:
    """The weights by our names.

    Args:
        released: Of the file.
        table: Our name for each of theirs in the grouping, without prefixes.
        expected: Shape of each tensor that the model takes.

    Raises:
        ValueError: The table is not one to one, a tensor is missing or too
            many, or has another shape; the message names all of them.
    """
    problems = [
        f'the table names {name!r}, which is not in the file'
        for name in table
        if name not in released.group
    ]
    weights, origins = dict(released.clip), {}
    for name, value in released.group.items():
        if not (short := table.get(name)):
            problems.append(f'the table has no name for {name!r}')
            continue
        ours = OUR_GROUP + short
        if short in origins:
            problems.append(
                f'{origins[short]!r} and {name!r} both become {short!r}'
            )
        origins[short] = name
        shape = expected.get(ours, ())
        if squeeze(value.shape) == squeeze(shape):
            value = value.reshape(shape)
        weights[ours] = value
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
    return weights
