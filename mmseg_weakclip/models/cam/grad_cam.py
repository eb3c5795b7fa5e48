"""Softmax-GradCAM of CLIP (CLIP-ES, CVPR 2023)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_weakclip.models.clip.tokens import CLIPTokens
from mmseg_weakclip.models.clip.towers.block import AttentionBlock, attend
from mmseg_weakclip.models.transfer import upload

from .base import TrainingFreeCAMHead


def _check_pool(pool: str) -> None:
    if pool not in ('patch', 'class'):
        raise ValueError(f"pool={pool!r} must be 'patch' or 'class'")


def softmax_grad_cam(
    tokens: CLIPTokens,
    text: Tensor,
    labels: Sequence[tuple[int, ...]],
    num_foreground: int,
    block: int = -1,
    pool: str = 'patch',
    logit_scale: float = 100.0,
) -> Tensor:
    """Compute GradCAM on the input of one block's attention.

    An image is classified among its own classes and the background words;
    by the softmax, the gradient of a class suppresses the other classes.
    Gradients are computed from the chosen block on only. The number of
    backward passes of a batch is the largest number of classes of an image.

    Args:
        tokens: Output of CLIP, with hidden states.
        text: Unit embeddings of K - 1 classes and M background words,
            (K - 1 + M, E).
        labels: Ids of the classes of each image, 0 to K - 2.
        num_foreground: Number of foreground classes, K - 1.
        block: Index of the block; -1 is the last, as published.
        pool: Embedding of the image: the mean of its patches (``'patch'``,
            as published) or the tower's own (``'class'``): the class token,
            or what the tower pools.
        logit_scale: Factor of the cosines; 100 is that of OpenAI's CLIP.

    Returns:
        (B, K - 1, h, w), not negative, without a graph; zero where an image
        lacks a class.

    Raises:
        ValueError: The hidden states are missing, or ``block`` or ``pool``
            is not allowed.
    """
    _check_pool(pool)
    blocks = tokens.tower.attention_blocks(tokens.grid)
    if not tokens.hidden:
        raise ValueError(
            'GradCAM needs the hidden states: set '
            'hidden_states=True in CLIPViT'
        )
    if not -len(blocks) <= block < len(blocks):
        raise ValueError(
            f'GradCAM at block={block}, but CLIP has {len(blocks)} blocks'
        )
    turns = _pairs_by_turn(labels, text.device)
    rivals = torch.ones(
        len(labels), len(text), dtype=torch.bool, device=text.device
    )
    rivals[:, :num_foreground] = False
    for images, classes in turns:
        rivals[images, classes] = True
    start = block % len(blocks)
    first, *rest = blocks[start:]
    with torch.enable_grad():
        x = tokens.hidden[start].detach().float()
        normed, features = _run_blocks(x, first, rest, tokens, pool)
        logits = logit_scale * F.normalize(features, dim=-1) @ text.T
        scores = logits.masked_fill(~rivals, -torch.inf).softmax(-1)
        cams = _weigh(scores, normed, turns, num_foreground, tokens.prefix)
    return cams.unflatten(2, tokens.grid)


def _pairs_by_turn(
    labels: Sequence[tuple[int, ...]], device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """Return the images and classes of each backward pass.

    The first pass has the first class of each image that has one, the second
    the second, and so on. All are copied to the device at once.
    """
    passes = [
        [(i, own[turn]) for i, own in enumerate(labels) if turn < len(own)]
        for turn in range(max(map(len, labels), default=0))
    ]
    pairs = torch.tensor(sum(passes, []), dtype=torch.long).view(-1, 2)
    images, classes = upload(pairs.T.contiguous(), device)
    sizes = [len(own) for own in passes]
    return list(zip(images.split(sizes), classes.split(sizes)))


def _run_blocks(
    x: Tensor,
    first: AttentionBlock,
    rest: Sequence[AttentionBlock],
    tokens: CLIPTokens,
    pool: str,
) -> tuple[Tensor, Tensor]:
    """Run the chosen block and all behind it.

    Returns:
        The leaf of the gradients, which is the normalised input of the block
        (B, N, D), and the embeddings of the images (B, E).
    """
    normed = first.norm(x).detach().requires_grad_()
    x = first.finish(x, attend(first.project(normed)))
    for block in rest:
        x = block.run(x)
    if pool == 'class':
        return normed, tokens.tower.embed_image(x)
    return normed, tokens.tower.embed(x[:, tokens.prefix :]).mean(1)


def _weigh(
    scores: Tensor,
    normed: Tensor,
    turns: Sequence[tuple[Tensor, Tensor]],
    num_foreground: int,
    prefix: int,
) -> Tensor:
    """Return relu(sum over channels of mean gradient * activation)."""
    batch, tokens, _ = normed.shape
    cams = scores.new_zeros(batch, num_foreground, tokens - prefix)
    activation = normed.detach()[:, prefix:]
    for images, classes in turns:
        (gradient,) = torch.autograd.grad(
            scores[images, classes].sum(), normed, retain_graph=True
        )
        weights = gradient[:, prefix:].mean(1, keepdim=True)
        maps = (weights * activation).sum(-1).relu()
        cams[images, classes] = maps[images].detach()
    return cams


@MODELS.register_module()
class GradCAMHead(TrainingFreeCAMHead):
    """CAMs by :func:`softmax_grad_cam`.

    Args:
        args: Classes, text bank and background, as in
            :class:`TrainingFreeCAMHead`.
        block: Index of the block; -1 is the last, as published.
        pool: Embedding of the image, ``'patch'`` or ``'class'``.
        logit_scale: Factor of the cosines.
        kwargs: Other arguments of :class:`TrainingFreeCAMHead`.

    Raises:
        ValueError: ``pool`` is not allowed.
    """

    def __init__(
        self,
        *args,
        block: int = -1,
        pool: str = 'patch',
        logit_scale: float = 100.0,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        _check_pool(pool)
        self.block = block
        self.pool = pool
        self.logit_scale = logit_scale

    def cams(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
    ) -> Tensor:
        """Compute :func:`softmax_grad_cam`."""
        return softmax_grad_cam(
            tokens,
            text,
            labels,
            self.num_classes - 1,
            self.block,
            self.pool,
            self.logit_scale,
        )
