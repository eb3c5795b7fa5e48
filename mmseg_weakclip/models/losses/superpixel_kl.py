"""Consistency of group assignments in superpixels (SegCLIP, ICML 2023).

With M_i the distribution of patch i over G groups and m_i the mean of M over
the patches of i's superpixel, the loss is a divergence of M_i and m_i.

It is zero where the assignment is constant inside each superpixel, and so
also where all patches collapse into one group: it does not prevent that.
"""

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

# Least probability inside a logarithm. Unscaled logits of groups differ by 40
# as a rule, and a softmax in float32 is exactly 0 from 104 on. Down to EPS, a
# difference of 69, value and gradient are those of the divergence; below it,
# the logarithm is a constant. 1 / EPS, the steepest slope on the way back to
# the logits, stays finite when a gradient scaler multiplies it by 2^24.
EPS = 1e-30


def _segments(superpixels: Tensor) -> Tensor:
    """Give the superpixels of all images numbers of their own.

    Returns:
        Integers in [0, B * N), (B, N); no two images share one.
    """
    batch, number = superpixels.shape
    ordered, order = superpixels.sort(dim=1)
    # Ids may be large and sparse: their rank counts, not their value.
    changes = F.pad(ordered[:, 1:] != ordered[:, :-1], (1, 0))
    ranks = changes.cumsum(1)
    segments = torch.empty_like(ranks).scatter_(1, order, ranks)
    first = number * torch.arange(batch, device=superpixels.device)
    return segments + first[:, None]


def superpixel_mean(assignment: Tensor, superpixels: Tensor) -> Tensor:
    """Average over the patches of each patch's superpixel.

    Args:
        assignment: Values of each group and patch, (B, G, N).
        superpixels: Ids, any integers from 0 on, (B, N); equal ids of two
            images are not related. -1 is a patch without a superpixel.

    Returns:
        float32, (B, G, N); 0 at patches without a superpixel, which are in
        no mean.

    Raises:
        ValueError: The shapes of superpixels and assignment do not match.
    """
    batch, groups, number = assignment.shape
    if superpixels.shape != (batch, number):
        raise ValueError(
            f'an assignment {tuple(assignment.shape)} needs superpixels '
            f'{(batch, number)}, got {tuple(superpixels.shape)}'
        )
    valid = superpixels >= 0
    segments = _segments(superpixels).flatten()
    rows = assignment.float().transpose(1, 2).flatten(0, 1)
    sums = torch.zeros_like(rows).index_add(0, segments, rows)
    sizes = torch.zeros_like(rows[:, 0]).index_add(
        0, segments, torch.ones_like(rows[:, 0])
    )
    means = (sums / sizes.clamp(min=1)[:, None])[segments]
    means = means.view(batch, number, groups).transpose(1, 2)
    return means.where(valid[:, None], 0)


def _log(probs: Tensor) -> Tensor:
    return probs.clamp(min=EPS).log()


def cross_entropy(p: Tensor, q: Tensor) -> Tensor:
    """Return ``-sum_g p_g log q_g``, (B, N), of two (B, G, N)."""
    return -(p * _log(q)).sum(dim=1)


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Return ``KL(p || q)`` with 0 log 0 = 0, (B, N), of two (B, G, N).

    It is in nats, at most 69 = -log EPS.
    """
    return cross_entropy(p, q) - cross_entropy(p, p)


@MODELS.register_module()
class SuperpixelKLLoss(nn.Module):
    """KL divergence of each patch's assignment and its superpixel's mean.

    ``[KL(m || M) + KL(M || m)] / 2``, or ``KL(M || m)`` alone, which is at
    most log n for n patches in the superpixel.

    As published: ``source='hard'``, ``softmax_again=True`` and
    ``reduction='elements'``. The second softmax, of values that are
    probabilities already, gives each of 8 groups 0.10 to 0.28, and a random
    assignment of 196 patches in 35 superpixels has a loss of only 0.008. The
    default is the divergence of the distributions themselves.

    Args:
        source: Assignment used as M, ``'soft'`` or ``'hard'``.
        softmax_again: Whether another softmax over groups is applied to M and
            m.
        detach: Part without a gradient: ``'none'``; ``'mean'``, patches
            follow their superpixel; ``'assignment'``, the superpixel follows
            its patches.
        symmetric: Whether both directions are averaged.
        reduction: ``'tokens'``, the mean over all patches of the batch that
            have a superpixel; ``'elements'``, that divided by G.
        loss_weight: Factor of the loss; SegCLIP has 1.
        loss_name: Key in the head's losses.

    Raises:
        ValueError: A value is not allowed, or the options give a divergence
            that is infinite or has no gradient.
    """

    def __init__(
        self,
        source: str = 'soft',
        *,
        softmax_again: bool = False,
        detach: str = 'none',
        symmetric: bool = True,
        reduction: str = 'tokens',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_superpixel',
    ) -> None:
        super().__init__()
        for name, value, allowed in (
            ('source', source, ('soft', 'hard')),
            ('detach', detach, ('none', 'mean', 'assignment')),
            ('reduction', reduction, ('tokens', 'elements')),
        ):
            if value not in allowed:
                raise ValueError(f'{name}={value!r} must be one of {allowed}')
        if source == 'hard' and symmetric and not softmax_again:
            raise ValueError(
                "source='hard' with symmetric=True is infinite wherever a "
                'superpixel is not of one group: set symmetric=False, '
                "softmax_again=True (as published) or source='soft'"
            )
        if detach == 'assignment' and not (symmetric or softmax_again):
            raise ValueError(
                "detach='assignment' with symmetric=False has no gradient, "
                'since no distribution is closer to the patches than their '
                'mean: set detach to another value, or symmetric=True'
            )
        self.source = source
        self.softmax_again = softmax_again
        self.detach = detach
        self.symmetric = symmetric
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, hard: Tensor, soft: Tensor, superpixels: Tensor
    ) -> Tensor:
        """Return the loss of a batch, in float32, under autocast too.

        Args:
            hard: One-hot assignment with a straight-through gradient,
                (B, G, N).
            soft: Softmax assignment, (B, G, N).
            superpixels: Superpixel ids, (B, N); see :func:`superpixel_mean`.

        Returns:
            Scalar; 0 without superpixels and, up to rounding, where all
            patches of each superpixel have the same assignment.

        Raises:
            ValueError: The shapes do not match.
        """
        if hard.shape != soft.shape:
            raise ValueError(
                'hard and soft must have one shape (B, G, N), got '
                f'{tuple(hard.shape)} and {tuple(soft.shape)}'
            )
        patch = (hard if self.source == 'hard' else soft).float()
        mean = superpixel_mean(patch, superpixels)
        if self.softmax_again:
            patch, mean = patch.softmax(dim=1), mean.softmax(dim=1)
        if self.detach == 'mean':
            mean = mean.detach()
        elif self.detach == 'assignment':
            patch = patch.detach()
        valid = superpixels >= 0
        loss = self._divergence(patch, mean).where(valid, 0).sum()
        loss = loss / valid.sum().clamp(min=1)
        if self.reduction == 'elements':
            loss = loss / patch.shape[1]
        return self.loss_weight * loss

    def _divergence(self, patch: Tensor, mean: Tensor) -> Tensor:
        """Return the divergence of each patch, (B, N)."""
        if self.source == 'hard' and not self.softmax_again:
            # The entropy of a one-hot is zero, but its slope there is not
            # finite: straight through, it would drive patches from the group
            # that they share with their superpixel. Nor is the slope towards
            # a group that the superpixel has no patch in: that one counts as
            # half a patch, which ranks it behind all others. The mean as the
            # closest distribution to its patches has no gradient.
            floor = 0.5 / mean.shape[2]
            return cross_entropy(patch, mean.detach().clamp(min=floor))
        one_way = kl_divergence(patch, mean)
        if not self.symmetric:
            return one_way
        return (one_way + kl_divergence(mean, patch)) / 2
