"""Spread class activation maps along affinities between patches.

An affinity A has shape (B, N, N) over the N = h * w patches in row-major
order. Row i receives, column j gives: ``cam'_i = sum_j A_ij cam_j``.
"""

import torch
from torch import Tensor

# Sums below are those of patches that give or receive nothing.
EPS = 1e-12


def sinkhorn_affinity(
    attention: Tensor, rounds: int = 3, power: int = 2
) -> Tensor:
    """Return a symmetric, nearly doubly stochastic affinity of attention.

    Class-aware attention-based affinity of CLIP-ES (CVPR 2023)::

        repeat `rounds` times: A_ij <- A_ij / sum_i A_ij   (columns first)
                               A_ij <- A_ij / sum_j A_ij   (then rows)
        A <- ((A + A^T) / 2) ^ power                       (matrix power)

    Args:
        attention: Attention maps, averaged over heads and layers, without
            the class token; non-negative, shape (B, N, N).
        rounds: Number of pairs of normalisations; 3 as published.
        power: Exponent of the matrix power, >= 1.

    Returns:
        float32, shape (B, N, N).

    Raises:
        ValueError: ``attention`` is not square, or ``rounds`` or ``power``
            is too small.
    """
    if attention.ndim != 3 or attention.shape[1] != attention.shape[2]:
        raise ValueError(
            f'attention must be (B, N, N), got {tuple(attention.shape)}'
        )
    if rounds < 0 or power < 1:
        raise ValueError(
            f'rounds must be >= 0 and power >= 1, got {rounds} and {power}'
        )
    with torch.autocast(attention.device.type, enabled=False):
        affinity = attention.float()
        for _ in range(rounds):
            affinity = affinity / affinity.sum(1, keepdim=True).clamp(min=EPS)
            affinity = affinity / affinity.sum(2, keepdim=True).clamp(min=EPS)
        affinity = (affinity + affinity.transpose(1, 2)) / 2
        return torch.linalg.matrix_power(affinity, power)


LAYER_FILTERS = ('published', 'agreement')


def select_layers(
    attention: Tensor, relation: Tensor, layer_filter: str = 'published'
) -> Tensor:
    """Average some attention maps, and weigh them by a learnt relation.

    Refinement module of WeCLIP (CVPR 2024), image by image: the mean of the
    chosen layers is weighted by the relation G, element by element. Two rules
    choose among the maps A_l:

    - ``'published'``: with d_l = sum_ij (G_ij - A_l,ij), the layers with d_l
      at most the mean of all d. G cancels on both sides, so it has no say:
      these are the layers whose patches attend to patches, rather than to the
      class token, at least as much as the layers do on average.
    - ``'agreement'``: what the paper describes, layers that agree with G.
      With a_l the mean over i of the cosine between rows i of A_l and G, the
      layers with a_l at least the mean of all a.

    Args:
        attention: Attention maps of k layers without the class token,
            (k, B, N, N).
        relation: Learnt relation G in [0, 1], (B, N, N).
        layer_filter: The rule.

    Returns:
        float32, (B, N, N), for :func:`sinkhorn_affinity`.

    Raises:
        ValueError: The shapes do not match, or there is no such rule.
    """
    if layer_filter not in LAYER_FILTERS:
        raise ValueError(
            f'layer_filter={layer_filter!r} must be one of {LAYER_FILTERS}'
        )
    if attention.shape[1:] != relation.shape:
        raise ValueError(
            f'attention of layers {tuple(attention.shape)} and a relation '
            f'{tuple(relation.shape)} differ in batch or number of patches'
        )
    with torch.autocast(attention.device.type, enabled=False):
        attention, relation = attention.float(), relation.float()
        worth = torch.stack(  # (k, B)
            [
                _row_agreement(layer, relation)
                if layer_filter == 'agreement'
                else layer.sum((1, 2))
                for layer in attention
            ]
        )
        # One layer always has the mean or more, but for rounding: the best.
        bound = worth.mean(0).minimum(worth.amax(0))
        kept = (worth >= bound).float()[..., None, None]
        return (attention * kept).sum(0) / kept.sum(0) * relation


def _row_agreement(attention: Tensor, relation: Tensor) -> Tensor:
    """Return the mean cosine between rows of two maps (B, N, N), (B,)."""
    products = (attention * relation).sum(2)
    lengths = attention.norm(dim=2) * relation.norm(dim=2)
    return (products / lengths.clamp(min=EPS)).mean(1)


def refine_by_affinity(
    cam: Tensor, affinity: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Propagate maps along an affinity by one step.

    Args:
        cam: Maps, shape (B, K, h, w).
        affinity: Affinity, shape (B, N, N) with N = h * w.
        mask: Patches whose values are propagated, per class, bool or 0..1,
            shape (B, K, h, w). As in CLIP-ES it masks the columns of the
            affinity, so patches outside still receive. None takes all.

    Returns:
        float32, shape (B, K, h, w), not normalised.

    Raises:
        ValueError: The shapes of affinity and maps do not match.
    """
    _check_affinity(cam, affinity)
    with torch.autocast(cam.device.type, enabled=False):
        given = cam.float() if mask is None else cam.float() * mask
        return _collect(affinity.float(), given)


def random_walk(
    cam: Tensor, affinity: Tensor, beta: float = 8.0, steps: int = 64
) -> Tensor:
    """Propagate maps by a random walk, ``T^steps cam``.

    Rows of T sum to one, so a constant map does not change.

    AffinityNet (Ahn and Kwak, CVPR 2018): ``T_ij = A_ij^beta /
    sum_j A_ij^beta`` with elementwise power; IRN (CVPR 2019) is the same
    with an affinity from boundaries. Their A is symmetric, so rows and columns
    are interchangeable there.

    Args:
        cam: Maps, shape (B, K, h, w).
        affinity: Affinity, non-negative, shape (B, N, N) with N = h * w.
        beta: Exponent of the affinity; larger ones sharpen it.
        steps: Number of steps. MCTformer's recipe for VOC has 2^6 steps with
            a beta of 8.

    Returns:
        float32, shape (B, K, h, w).

    Raises:
        ValueError: The shapes of affinity and maps do not match, or
            ``steps`` is negative.
    """
    _check_affinity(cam, affinity)
    if steps < 0:
        raise ValueError(f'steps must be >= 0, got {steps}')
    with torch.autocast(cam.device.type, enabled=False):
        # Divided by its row's maximum, or a power of 8 may underflow.
        walk = affinity.float()
        walk = walk / walk.amax(2, keepdim=True).clamp(min=EPS)
        walk = walk.pow(beta)
        walk = walk / walk.sum(2, keepdim=True).clamp(min=EPS)
        cam = cam.float()
        # Steps on the K maps cost less than powers of the N x N matrix.
        for _ in range(steps):
            cam = _collect(walk, cam)
        return cam


def _collect(affinity: Tensor, cam: Tensor) -> Tensor:
    rows = torch.bmm(affinity, cam.flatten(2).transpose(1, 2))
    return rows.transpose(1, 2).reshape_as(cam)


def _check_affinity(cam: Tensor, affinity: Tensor) -> None:
    num_patches = cam.shape[-2] * cam.shape[-1]
    if affinity.shape != (len(cam), num_patches, num_patches):
        raise ValueError(
            f'maps {tuple(cam.shape)} need an affinity of shape '
            f'{(len(cam), num_patches, num_patches)}, got '
            f'{tuple(affinity.shape)}'
        )
