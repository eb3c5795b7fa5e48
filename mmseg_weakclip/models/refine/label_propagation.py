"""Spread class maps over a graph of positions until they agree.

Label propagation as in LPOSS (Stojnic et al., CVPR 2025), after Zhou et al.,
"Learning with Local and Global Consistency" (NIPS 2003): each position wants
the scores that it was given, and those of the positions that look like it and
lie near.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmseg_weakclip.common.options import check_options

# Of a position's sum; its weight with itself is left out.
EPS = 1e-12
# Of the solver's steps, in which maps of any scale are the same.
TINY = torch.finfo(torch.float32).tiny


def grid_places(size: tuple[int, int], stride: float) -> Tensor:
    """Return the place of each position of a grid in pixels, (N, 2).

    Args:
        size: Rows and columns (h, w).
        stride: Pixels between neighbours.
    """
    rows, columns = (torch.arange(side, dtype=torch.float32) for side in size)
    return stride * torch.cartesian_prod(rows, columns)


def propagation_graph(
    unit: Tensor,
    places: Tensor,
    neighbours: int = 400,
    power: float = 3.0,
    decay: float = 0.01,
) -> Tensor:
    """Return the normalised weights between positions.

    With the cosine c_ij of features and the distance d_ij in pixels::

        w_ij = max(c_ij, 0) ^ power * exp(-decay * d_ij),   w_ii = 0
        S    = D^-1/2 (W + W^T) D^-1/2,   D the row sums

    where each row of W keeps its largest ``neighbours`` weights.

    Args:
        unit: Features of length 1, (B, N, C).
        places: Places in pixels, (N, 2).
        neighbours: Weights that a position keeps; all if it has fewer.
        power: Exponent of the cosine.
        decay: Decay by distance, per pixel.

    Returns:
        float32, symmetric, (B, N, N), with eigenvalues in [-1, 1]. A position
        that nothing is like has a row of zeros.

    Raises:
        ValueError: The numbers of positions differ, or a value is too small.
    """
    if len(places) != unit.shape[1]:
        raise ValueError(f'{len(places)} places for {unit.shape[1]} positions')
    if neighbours < 1 or neighbours % 1 or power <= 0 or decay < 0:
        raise ValueError(
            f'neighbours={neighbours} must be a whole number from 1 on, '
            f'power={power} above 0 and decay={decay} not negative'
        )
    with torch.autocast(unit.device.type, enabled=False):
        unit = unit.float()
        places = places.to(unit)
        weights = (unit @ unit.transpose(1, 2)).clamp(min=0).pow(power)
        weights = weights * (-decay * torch.cdist(places, places)).exp()
        weights.diagonal(dim1=1, dim2=2).zero_()
        if neighbours < weights.shape[2]:
            kept = weights.topk(int(neighbours), 2)
            weights = torch.zeros_like(weights).scatter_(
                2, kept.indices, kept.values
            )
        weights = weights + weights.transpose(1, 2)
        scale = weights.sum(2).clamp(min=EPS).rsqrt()
        return scale[:, :, None] * weights * scale[:, None]


def propagate_labels(
    maps: Tensor, graph: Tensor, alpha: float = 0.95, iterations: int = 10
) -> Tensor:
    """Solve (I - alpha S) Y = (1 - alpha) X for each map.

    By conjugate gradients, of which each step is a product with S. The factor
    1 - alpha keeps the scale of the maps; LPOSS, which takes the best class,
    has none.

    Args:
        maps: Class maps X, (B, K, h, w).
        graph: Weights S of :func:`propagation_graph`, (B, N, N).
        alpha: Weight of the others beside one's own scores, in [0, 1).
        iterations: Steps; 10 in LPOSS, which is close to the solution.

    Returns:
        float32, (B, K, h, w). Maps >= 0 stay so but for the rest of the
        solver's error.

    Raises:
        ValueError: ``alpha`` is not in [0, 1), or the graph has another size.
    """
    given = maps.float().flatten(2).transpose(1, 2)
    if graph.shape != (len(given), given.shape[1], given.shape[1]):
        raise ValueError(
            f'a graph {tuple(graph.shape)} for maps {tuple(maps.shape)}'
        )
    with torch.autocast(maps.device.type, enabled=False):
        found = solve_propagation(
            lambda way: graph @ way, given, alpha, iterations
        )
        return found.transpose(1, 2).reshape(maps.shape)


def propagate_maps(
    maps: Tensor,
    unit: Tensor,
    places: Tensor,
    alpha: float = 0.95,
    iterations: int = 10,
    **graph: float,
) -> Tensor:
    """Spread maps over the graph of their positions.

    Args:
        maps: Class maps, (B, K, h, w).
        unit: Features of length 1, (B, N, C) with N = h * w.
        places: Places in pixels, (N, 2).
        alpha: See :func:`propagate_labels`.
        iterations: See :func:`propagate_labels`.
        graph: Arguments of :func:`propagation_graph`.

    Returns:
        float32, (B, K, h, w).
    """
    weights = propagation_graph(unit, places, **graph)
    return propagate_labels(maps, weights, alpha, iterations)


def check_propagation(options: Mapping[str, Any]) -> None:
    """Check the arguments of :func:`propagate_maps` in a config.

    Args:
        options: The arguments; ``levels``, of the heads, may be among them.

    Raises:
        ValueError: There is no such argument, or one has a wrong value.
    """
    own = {name: options[name] for name in options if name != 'levels'}
    one = torch.ones(1, 1, 1)
    check_options(
        'propagation',
        own,
        partial(propagate_maps, one[None], one, torch.zeros(1, 2)),
    )


def solve_propagation(
    multiply: Callable[[Tensor], Tensor],
    given: Tensor,
    alpha: float,
    iterations: int,
    dim: int | tuple[int, ...] = 1,
) -> Tensor:
    """Solve (I - alpha S) Y = (1 - alpha) X by conjugate gradients.

    Args:
        multiply: Product with S, symmetric with eigenvalues in [-1, 1], of a
            tensor like ``given``.
        given: X, float32, a system for each index but that of ``dim``.
        alpha: Weight of the others beside one's own scores, in [0, 1).
        iterations: Number of steps, at least 1.
        dim: Dimensions of the positions.

    Returns:
        Y, like ``given``.

    Raises:
        ValueError: ``alpha`` is not in [0, 1), or there is no step.
    """
    if not 0 <= alpha < 1:
        raise ValueError(f'alpha={alpha} must be in [0, 1)')
    if iterations < 1:
        raise ValueError(
            f'iterations={iterations} must be at least 1: without a step '
            'all maps are 0'
        )
    right = (1 - alpha) * given
    found = torch.zeros_like(right)
    rest, way = right, right
    squares = rest.square().sum(dim, keepdim=True)
    for _ in range(iterations):
        ahead = way - alpha * multiply(way)
        # A map that is solved, or empty, has no way to go.
        along = (way * ahead).sum(dim, keepdim=True)
        step = squares / along.clamp(min=TINY)
        found = found + step * way
        rest = rest - step * ahead
        after = rest.square().sum(dim, keepdim=True)
        way = rest + after / squares.clamp(min=TINY) * way
        squares = after
    return found
