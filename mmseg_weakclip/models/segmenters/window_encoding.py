"""Encode the windows of an image with CLIP, each alone or all together.

GLA-CLIP and OV-Stitcher let the patches of all windows of an image see each
other in the last block, where windows that are encoded alone disagree.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mmseg_weakclip.models.clip.dense.stream import DenseStream
from mmseg_weakclip.models.clip.dense.token_layout import join_windows
from mmseg_weakclip.models.clip.tokens import CLIPTokens
from mmseg_weakclip.models.clip.towers.block import Projected, attend
from mmseg_weakclip.models.clip.vit import CLIPViT, to_map

Boxes = Sequence[tuple[slice, slice]]


@torch.no_grad()
def encode_windows(
    vit: CLIPViT,
    parts: Iterator[tuple[Boxes, Tensor]],
    regions: Tensor | None = None,
    *,
    joint: bool = False,
) -> Iterator[CLIPTokens]:
    """Encode windows along a dense path.

    With ``joint``, the blocks before the last run on some windows at a time;
    the last one sees all windows of an image. Its memory has a floor: the
    input, the dense stream, queries, keys, values and their mixture of all
    tokens, ``6 * W * N * D`` numbers of W windows with N tokens, twice that
    with a second pass. In float32 this is 3.6 MB for each window of 224
    pixels in a ViT-B/16. Scores are computed for some rows at a time.

    Args:
        vit: Backbone with a dense path.
        parts: Some windows at a time: their rows and columns, and the windows
            of B images, (w * B, 3, h, w), window after window.
        regions: Region of each pixel of the images, -1 for none, (B, H, W);
            None lets all patches see all.
        joint: Whether the windows of an image see each other.

    Yields:
        Tokens of each part; with ``joint``, of all windows at once.

    Raises:
        ValueError: See :func:`check_windows`.
    """
    check_windows(vit, joint=joint)
    kept: list[tuple[Tensor, DenseStream]] = []
    boxes: list[tuple[slice, slice]] = []
    for some, windows in parts:
        own = None if regions is None else _crop(regions, some)
        x, stream = _before_last(vit, windows, own, joint=joint)
        if joint:
            kept.append((x, stream))
            boxes.extend(some)
        else:
            yield _last_block(vit, x, stream, 1)
    if joint:
        (_, stream), *others = kept
        patch = vit.tower.patch_size
        offsets = [(y.start / patch, x.start / patch) for y, x in boxes]
        stream.join([other for _, other in others], offsets)
        x = join_windows(torch.cat([x for x, _ in kept]), len(boxes))
        del kept
        yield _last_block(vit, x, stream, len(boxes))


def check_windows(
    vit: CLIPViT, *, joint: bool = False, scope: bool = False
) -> None:
    """Check that a dense path can do, and does, what is asked of it.

    Args:
        vit: Backbone.
        joint: Whether the windows of an image are to see each other.
        scope: Whether patches are to see those of their region only, which
            must change something.

    Raises:
        ValueError: The backbone has no dense path, its affinity has no
            features to compare between windows, or no patch sees another.
    """
    dense, affinity = vit.dense, vit.affinity
    if dense is None:
        raise ValueError(
            'regions and windows="joint" need a dense path: set dense in '
            'CLIPViT, such as dense="sclip"'
        )
    if joint and affinity is not None and not hasattr(affinity, 'relate'):
        raise ValueError(
            f'windows="joint" with {type(affinity).__name__}, which gives '
            'maps of one window and no features; use one such as TimmAffinity'
        )
    mixing = set(dense.terms) - {'identity'}
    if scope and not (mixing or dense.smooth or dense.repair):
        raise ValueError(
            f'regions with scope=True and the dense terms {dense.terms}, by '
            'which no patch sees another: set regions.scope=False, or a path '
            'such as dense="sclip"'
        )


def _crop(regions: Tensor, boxes: Boxes) -> Tensor:
    return torch.cat([regions[:, y, x] for y, x in boxes])


def _before_last(
    vit: CLIPViT, windows: Tensor, regions: Tensor | None, *, joint: bool
) -> tuple[Tensor, DenseStream]:
    """Run all blocks but the last; return the tokens and their stream."""
    tower = vit.tower
    x, grid = tower.stem(windows)
    rows, columns = (side * tower.patch_size for side in grid)
    covered = windows[..., :rows, :columns]
    module, relate, found = vit.affinity, None, None
    if module is not None and joint:
        found, relate = module.describe(covered, grid), module.relate
    elif module is not None:
        found = module(covered, grid)
    stream = DenseStream(
        vit.dense,
        len(tower.blocks),
        grid,
        found,
        relate=relate,
        regions=None if regions is None else regions[:, :rows, :columns],
        prefix=tower.prefix,
    )
    for index, block in enumerate(tower.attention_blocks(grid)[:-1]):
        normed = block.norm(x)
        qkv = block.project(normed)
        stream.update(index, block, x, normed, qkv)
        x = block.finish(x, attend(qkv))
    return x, stream


def _last_block(
    vit: CLIPViT, x: Tensor, stream: DenseStream, count: int
) -> CLIPTokens:
    """Run the last block of both streams.

    Args:
        vit: Backbone.
        x: Input of the block, (B, W * N, D).
        stream: Dense stream so far.
        count: Number W of windows; 1 where a batch has them apart.

    Returns:
        Tokens of the windows, (W * B, ...), window after window.
    """
    tower = vit.tower
    block = tower.attention_blocks(stream.grid)[-1]
    normed = block.norm(x)
    qkv = stream.project(block, normed)
    stream.update(len(tower.blocks) - 1, block, x, normed, qkv)
    # CLIP's own class token still sees its own window only.
    apart = Projected(
        *(stream.apart(part.transpose(1, 2)).transpose(1, 2) for part in qkv)
    )
    plain = block.finish(stream.apart(x), attend(apart))
    dense = stream.apart(stream.output(stream.together(plain)))
    prefix = stream.prefix
    patches = tower.embed(dense[:, prefix:])

    def by_window(tokens: Tensor) -> Tensor:
        by_image = tokens.unflatten(0, (-1, count))
        return by_image.transpose(0, 1).flatten(0, 1)

    return CLIPTokens(
        grid=stream.grid,
        class_embedding=by_window(tower.embed_image(plain)),
        patch_embeddings=to_map(by_window(patches), stream.dense_grid),
        hidden=(),
        dense=None,
        values=None,
        value_scale=1,
        attention=None,
        tower=tower,
        prefix=prefix,
    )
