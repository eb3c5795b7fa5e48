"""Softmax-GradCAM of CLIP (CLIP-ES, CVPR 2023)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from ..clip import CLIPTokens
from ..clip.vision import attend, finish_block, project_qkv, run_block
from .base import TrainingFreeCAMHead


@MODELS.register_module()
class GradCAMHead(TrainingFreeCAMHead):
    """GradCAM on the input of one block's attention.

    An image is classified among its own classes and the background words;
    the softmax makes the gradient of a class push its rivals away. Gradients
    run through the blocks from the chosen one on, and nowhere else; all
    images of the batch go backward together, once for each of the classes
    that the richest image has.

    Args:
        block: Index of the block; -1 is the last, as published.
        pool: Which tokens stand for the image: the mean of its patches
            (``'patch'``, as published) or the class token (``'class'``).
        logit_scale: Factor on the cosines; 100 is that of OpenAI's CLIP.
        kwargs: See :class:`TrainingFreeCAMHead`.

    Raises:
        ValueError: The hidden states are missing or have no such block.
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
        if pool not in ('patch', 'class'):
            raise ValueError(f"pool={pool!r} must be 'patch' or 'class'")
        self.block = block
        self.pool = pool
        self.logit_scale = logit_scale

    def cams(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
    ) -> Tensor:
        """See :meth:`TrainingFreeCAMHead.cams`."""
        depth = len(tokens.tower.blocks)
        if not tokens.hidden:
            raise ValueError(
                'GradCAMHead needs the hidden states: set '
                'hidden_states=True in CLIPViT'
            )
        if not -depth <= self.block < depth:
            raise ValueError(
                f'GradCAMHead has block={self.block}, but CLIP '
                f'has {depth} blocks'
            )
        start = self.block % depth
        with torch.enable_grad():
            normed, features = self._run_from(start, tokens)
            rivals = self._rivals(text, labels)
            logits = self.logit_scale * F.normalize(features, dim=-1) @ text.T
            scores = logits.masked_fill(~rivals, -torch.inf).softmax(-1)
            cams = self._weigh(scores, normed, labels)
        return cams.unflatten(2, tokens.grid)

    def _run_from(
        self, start: int, tokens: CLIPTokens
    ) -> tuple[Tensor, Tensor]:
        """Block ``start`` and all behind it.

        Returns:
            The leaf that gradients are taken for, the block's normalised
            input (B, N, D), and the images' embeddings (B, E).
        """
        tower = tokens.tower
        first, *rest = tower.blocks[start:]
        x = tokens.hidden[start].detach().float()
        normed = first.ln_1(x).detach().requires_grad_()
        x = finish_block(first, x, attend(project_qkv(first.attn, normed)))
        for block in rest:
            x = run_block(block, x)
        embedded = tower.embed(x)
        if self.pool == 'class':
            return normed, embedded[:, 0]
        return normed, embedded[:, 1:].mean(1)

    def _rivals(
        self, text: Tensor, labels: Sequence[tuple[int, ...]]
    ) -> Tensor:
        """Texts that compete in each image, bool (B, K - 1 + M)."""
        rivals = torch.ones(
            len(labels), len(text), dtype=torch.bool, device=text.device
        )
        rivals[:, : self.num_classes - 1] = False
        for row, present in zip(rivals, labels):
            row[list(present)] = True
        return rivals

    def _weigh(
        self, scores: Tensor, normed: Tensor, labels: Sequence[tuple[int, ...]]
    ) -> Tensor:
        """relu(sum over channels of mean gradient * activation)."""
        batch, tokens, _ = normed.shape
        cams = scores.new_zeros(batch, self.num_classes - 1, tokens - 1)
        activation = normed.detach()[:, 1:]
        for turn in range(max(map(len, labels), default=0)):
            images = [i for i, own in enumerate(labels) if turn < len(own)]
            classes = [labels[i][turn] for i in images]
            (gradient,) = torch.autograd.grad(
                scores[images, classes].sum(), normed, retain_graph=True
            )
            weights = gradient[:, 1:].mean(1, keepdim=True)
            maps = (weights * activation).sum(-1).relu()
            cams[images, classes] = maps[images].detach()
        return cams
