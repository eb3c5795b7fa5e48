"""WeakCLIP's released weights under the names that they have here.

The published segmentor has 521 tensors, for VOC with 21 classes and for COCO
with 91 ids. All of them have a place in ours. Three differ in shape: the
contexts lose an axis, the image's positions are a table of 32 x 32 that the
config has to hold (``position_grid``), and the text has 13 positions of 77.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Shape = tuple[int, ...]

# First that fits; no result is matched again.
PREFIXES = (
    ('backbone.fpn1.', 'backbone.adapter.levels.0.'),
    ('backbone.fpn2.', 'backbone.adapter.levels.1.'),
    ('backbone.fpn3.', 'backbone.adapter.levels.2.'),
    ('backbone.fpn4.', 'backbone.adapter.levels.3.'),
    ('backbone.', 'backbone.tower.module.'),
    ('text_encoder.', 'neck.text.tower.module.'),
    ('contexts', 'neck.text.contexts'),
    ('gamma', 'neck.text_scale'),
    ('beta', 'neck.visual_scale'),
    ('context_decoder.', 'neck.co_attention.'),
    ('neck.', 'neck.neck.'),
    ('decode_head.', 'decode_head.'),
)
CONTEXTS = 'neck.text.contexts'
TEXT_POSITION = 'neck.text.tower.module.positional_embedding'
CLASSES = 'decode_head.conv_seg.bias'
COUNT = 'num_batches_tracked'
# Level and index of the convolutions of the head.
SCALE_HEADS = ((0, 0), (1, 0), (2, 0), (2, 2), (3, 0), (3, 2), (3, 4))
# Number of names that a message lists.
SHOWN = 8


@dataclass(frozen=True)
class Dimensions:
    """Sizes of a published model; those of ViT-B/16 unless given.

    Attributes:
        num_classes: Classes of the head, 21 for VOC and 91 for COCO.
        width: Width of the image tower.
        layers: Number of its blocks.
        patch: Patch size.
        positions: Rows of the image's position table.
        embed: Width of the space that image and text share.
        text_width: Width of the text tower.
        text_layers: Number of its blocks.
        vocabulary: Number of tokens.
        text_positions: Rows of the text's position table.
        full_text_positions: Rows that our text tower has.
        contexts: Number of learnt context tokens.
        attention: Width of the co-attention.
        attention_layers: Layers of each of its two stacks.
        pyramid: Channels of the feature pyramid and the head.
    """

    num_classes: int
    width: int = 768
    layers: int = 12
    patch: int = 16
    positions: int = 1025
    embed: int = 512
    text_width: int = 512
    text_layers: int = 12
    vocabulary: int = 49408
    text_positions: int = 13
    full_text_positions: int = 77
    contexts: int = 8
    attention: int = 256
    attention_layers: int = 3
    pyramid: int = 256


def our_name(name: str) -> str | None:
    """Return our name of a published tensor; None if there is none."""
    for theirs, ours in PREFIXES:
        # Names without a dot at the end are whole names.
        if name == theirs or theirs.endswith('.') and name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return None


def _affine(name: str, width: int) -> dict[str, Shape]:
    return {f'{name}.weight': (width,), f'{name}.bias': (width,)}


def _layer(name: str, *shape: int) -> dict[str, Shape]:
    """Weight and bias of a linear layer or a convolution."""
    return {f'{name}.weight': shape, f'{name}.bias': shape[:1]}


def _norm(name: str, width: int) -> dict[str, Shape]:
    """Batch norm."""
    return {
        **_affine(name, width),
        f'{name}.running_mean': (width,),
        f'{name}.running_var': (width,),
        f'{name}.{COUNT}': (),
    }


def _blocks(prefix: str, width: int, layers: int) -> Iterator[dict]:
    """Blocks of a tower of CLIP."""
    for index in range(layers):
        name = f'{prefix}transformer.resblocks.{index}'
        yield {
            f'{name}.attn.in_proj_weight': (3 * width, width),
            f'{name}.attn.in_proj_bias': (3 * width,),
            **_layer(f'{name}.attn.out_proj', width, width),
            **_affine(f'{name}.ln_1', width),
            **_affine(f'{name}.ln_2', width),
            **_layer(f'{name}.mlp.c_fc', 4 * width, width),
            **_layer(f'{name}.mlp.c_proj', width, 4 * width),
        }


def _image_tower(size: Dimensions) -> Iterator[dict]:
    width = size.width
    yield {
        'backbone.class_embedding': (width,),
        'backbone.positional_embedding': (size.positions, width),
        'backbone.proj': (width, size.embed),
        'backbone.conv1.weight': (width, 3, size.patch, size.patch),
        **_affine('backbone.ln_pre', width),
        **_affine('backbone.ln_post', width),
    }
    yield from _blocks('backbone.', width, size.layers)
    # Transposed convolutions have their inputs first; both are the width.
    yield _affine('backbone.fpn1.0', width)
    yield _layer('backbone.fpn1.1', width, width, 2, 2)
    yield _norm('backbone.fpn1.2', width)
    yield _layer('backbone.fpn1.4', width, width, 2, 2)
    yield _affine('backbone.fpn2.0', width)
    yield _layer('backbone.fpn2.1', width, width, 2, 2)
    yield _affine('backbone.fpn3', width)
    yield _affine('backbone.fpn4.0', width)


def _text_tower(size: Dimensions) -> Iterator[dict]:
    width = size.text_width
    yield {
        'contexts': (1, size.contexts, width),
        'text_encoder.positional_embedding': (size.text_positions, width),
        'text_encoder.text_projection': (width, size.embed),
        'text_encoder.token_embedding.weight': (size.vocabulary, width),
        **_affine('text_encoder.ln_final', width),
    }
    yield from _blocks('text_encoder.', width, size.text_layers)


def _co_attention(size: Dimensions) -> Iterator[dict]:
    width, embed = size.attention, size.embed
    yield {'gamma': (embed,), 'beta': (embed,)}
    yield _affine('context_decoder.memory_proj.0', embed)
    yield _layer('context_decoder.memory_proj.1', width, embed)
    yield _affine('context_decoder.memory_proj.2', width)
    yield _affine('context_decoder.text_proj.0', embed)
    yield _layer('context_decoder.text_proj.1', width, embed)
    for stack in ('decoder', 'anti_decoder'):
        for index in range(size.attention_layers):
            name = f'context_decoder.{stack}.{index}'
            for kind in ('self_attn', 'cross_attn'):
                for part in ('q_proj', 'k_proj', 'v_proj'):
                    yield {f'{name}.{kind}.{part}.weight': (width, width)}
                yield _layer(f'{name}.{kind}.proj', width, width)
            for norm in ('norm1', 'norm2', 'norm3'):
                yield _affine(f'{name}.{norm}', width)
            yield _layer(f'{name}.mlp.0', 4 * width, width)
            yield _layer(f'{name}.mlp.3', width, 4 * width)
    for name in ('out_proj', 'anti_out_proj'):
        yield _affine(f'context_decoder.{name}.0', width)
        yield _layer(f'context_decoder.{name}.1', embed, width)


def _pyramid_and_head(size: Dimensions) -> Iterator[dict]:
    channels, inputs = size.pyramid, size.width + size.num_classes
    for level in range(4):
        lateral = f'neck.lateral_convs.{level}.conv'
        yield _layer(lateral, channels, inputs, 1, 1)
        output = f'neck.fpn_convs.{level}.conv'
        yield _layer(output, channels, channels, 3, 3)
    yield _layer('decode_head.conv_seg', size.num_classes, channels, 1, 1)
    for level, index in SCALE_HEADS:
        name = f'decode_head.scale_heads.{level}.{index}'
        yield {f'{name}.conv.weight': (channels, channels, 3, 3)}
        yield _norm(f'{name}.bn', channels)


def published_shapes(size: Dimensions) -> dict[str, Shape]:
    """Return the shape of each tensor of a released file, by its name."""
    shapes: dict[str, Shape] = {}
    for part in (_image_tower, _text_tower, _co_attention, _pyramid_and_head):
        for some in part(size):
            shapes |= some
    return shapes


def count_classes(state: Mapping[str, Tensor]) -> int:
    """Return the number of classes of a released file.

    Raises:
        ValueError: It has no classifier, so it is another model's.
    """
    if CLASSES not in state or state[CLASSES].ndim != 1:
        raise ValueError(
            f'these are not weights of WeakCLIP: there is no {CLASSES}; the '
            f'first names are {list(state)[:SHOWN]}'
        )
    return len(state[CLASSES])


def convert_weights(
    state: Mapping[str, Tensor],
    size: Dimensions,
    text_positions: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the weights by our names.

    Args:
        state: Tensors of a released file.
        size: Sizes of the model.
        text_positions: CLIP's own positions of texts, for the rows that the
            file lacks; None for zeros. No name of the published classes
            reaches them.

    Raises:
        ValueError: A tensor is unknown, missing or of another shape; the
            message names all of them.
    """
    expected = published_shapes(size)
    problems = [
        f'nothing is known of {name!r}' for name in state.keys() - expected
    ]
    problems += [f'{name!r} is missing' for name in expected.keys() - state]
    problems += [
        f'{name!r} is {tuple(state[name].shape)} instead of {shape}'
        for name, shape in expected.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    if problems:
        raise ValueError('; '.join(sorted(problems)))
    weights = {our_name(name): value for name, value in state.items()}
    weights[CONTEXTS] = weights[CONTEXTS][0]
    weights[TEXT_POSITION] = _extend(
        weights[TEXT_POSITION], size.full_text_positions, text_positions
    )
    return weights


def _extend(rows: Tensor, length: int, source: Tensor | None) -> Tensor:
    """Return a table with more rows, from another table or zero."""
    if source is None:
        source = rows.new_zeros(length, rows.shape[1])
    if source.shape != (length, rows.shape[1]):
        raise ValueError(
            f'the positions of CLIP are {tuple(source.shape)} instead of '
            f'{(length, rows.shape[1])}'
        )
    return torch.cat([rows, source[len(rows) :].to(rows)])
