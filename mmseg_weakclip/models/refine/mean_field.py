"""Mean-field inference in a fully connected CRF with Potts energy.

Kraehenbuehl and Koltun, "Efficient Inference in Fully Connected CRFs with
Gaussian Edge Potentials" (NIPS 2011), Algorithm 1, with kernels normalised
symmetrically to D^-1/2 K D^-1/2, the default of pydensecrf.

The update itself is :func:`mean_field`. What it needs of the image are the
kernels (:func:`crf_kernels`) and the sums over them, its messages, computed
by a permutohedral lattice (:class:`LatticeMessages`) or by dense matrices
(:class:`ExactMessages`).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from .crf_params import CRFParams
from .permutohedral import PermutohedralLattice

# Keeps a pixel without neighbours (row sum 0) finite, as in pydensecrf.
NORM_EPS = 1e-20
# Blocks of kernel rows that stay in a core's cache.
CPU_BLOCK_BYTES = 2**20
# Lattices of the places of pixels are kept up to this number of pixels of a
# batch, which take 15 MB.
MAX_KEPT_PIXELS = 2**18
# Rows of so few classes are turned for their softmax on a CPU.
FEW_CLASSES = 15


class Grid(NamedTuple):
    """The places of all pixels of an image, over a deviation.

    Attributes:
        height: Rows H.
        width: Columns W.
        deviation: Standard deviation of the kernel in pixels.
        device: Device of the points.
    """

    height: int
    width: int
    deviation: float
    device: torch.device

    def points(self) -> Tensor:
        """Return (x, y) of each pixel, row by row, (1, H * W, 2)."""
        y, x = torch.meshgrid(
            *(
                torch.arange(size, device=self.device, dtype=torch.float32)
                for size in (self.height, self.width)
            ),
            indexing='ij',
        )
        place = torch.stack([x, y], dim=-1).reshape(1, -1, 2)
        return place / self.deviation


class Kernel(NamedTuple):
    """One Gaussian kernel, exp(-|f_i - f_j|^2 / 2), of the pairwise energy.

    Attributes:
        features: Points in units of the kernel's standard deviation, shape
            (B, N, d), or (1, N, d) if all images share them.
        compat: Weight of the kernel, > 0.
        grid: What the features are made of, if that is the places alone.
    """

    features: Tensor
    compat: float
    grid: Grid | None = None


def crf_kernels(images: Tensor, params: CRFParams) -> list[Kernel]:
    """Build the kernels of a batch of images, without those of weight 0.

    Args:
        images: Colours in 0..255, float32, shape (B, 3, H, W).
        params: Deviations and weights of the kernels.

    Returns:
        The smoothness kernel on (x, y) and the appearance kernel on
        (x, y, r, g, b). The order of the axes matters: the lattice is not
        symmetric in them, and this is pydensecrf's.
    """
    batch, _, height, width = images.shape
    colour = images.flatten(2).transpose(1, 2)
    kernels = []
    if params.gaussian_compat > 0:
        deviation = params.gaussian_sxy / params.scale_factor
        grid = Grid(height, width, deviation, images.device)
        kernels.append(Kernel(grid.points(), params.gaussian_compat, grid))
    if params.bilateral_compat > 0:
        deviation = params.bilateral_sxy / params.scale_factor
        grid = Grid(height, width, deviation, images.device)
        features = [
            grid.points().expand(batch, -1, -1),
            colour / params.bilateral_srgb,
        ]
        kernels.append(
            Kernel(torch.cat(features, dim=-1), params.bilateral_compat)
        )
    return kernels


def mean_field(
    unary: Tensor, messages: Callable[[Tensor], Tensor], iterations: int
) -> Tensor:
    """Iterate ``q = softmax(messages(q) - unary)`` from ``softmax(-unary)``.

    Args:
        unary: Energies -log p, shape (B, N, K).
        messages: The filter sum_m compat_m D_m^-1/2 K_m D_m^-1/2 q, with D_m
            the row sums of K_m, on tensors of that shape. K_m includes the
            pixel itself. The result is overwritten.
        iterations: Number of updates.

    Returns:
        Marginals q, shape (B, N, K), summing to one over K.
    """
    q = softmax_of_rows(-unary)
    for _ in range(iterations):
        q = softmax_of_rows(messages(q).sub_(unary))
    return q


def softmax_of_rows(logits: Tensor) -> Tensor:
    """Return the softmax over the last axis of contiguous (B, N, K).

    On a CPU it runs row by row, and a row of few classes fills no vector.
    Such rows are turned into columns first, which takes a fifth of the time
    for two classes and half of it for twelve.
    """
    if logits.device.type != 'cpu' or logits.shape[-1] > FEW_CLASSES:
        return torch.softmax(logits, dim=-1)
    columns = torch.softmax(logits.transpose(1, 2).contiguous(), dim=1)
    return columns.transpose(1, 2).contiguous()


def scaled_lattice(features: Tensor, compat: float) -> PermutohedralLattice:
    """Return the lattice of a kernel, normalised and weighted.

    Args:
        features: Points in standard deviations, (B, N, d).
        compat: Weight of the kernel.
    """
    lattice = PermutohedralLattice(features)
    row_sums = lattice(features.new_ones(*features.shape[:2], 1)).squeeze(-1)
    lattice.scale_((compat / (row_sums + NORM_EPS)).sqrt())
    return lattice


@lru_cache(maxsize=4)
def _kept_lattice(
    grid: Grid, batch: int, compat: float
) -> PermutohedralLattice:
    return scaled_lattice(grid.points().expand(batch, -1, -1), compat)


class LatticeMessages:
    """Messages through one permutohedral lattice per kernel.

    The lattice of a kernel on places alone is kept for further batches of
    this size, as in a training.

    Args:
        kernels: Kernels with features of N points each.
    """

    def __init__(self, kernels: Sequence[Kernel]) -> None:
        batch = max(len(kernel.features) for kernel in kernels)
        self.lattices = []
        for features, compat, grid in kernels:
            if grid and batch * features.shape[1] <= MAX_KEPT_PIXELS:
                lattice = _kept_lattice(grid, batch, compat)
            else:
                points = features.expand(batch, -1, -1)
                lattice = scaled_lattice(points, compat)
            self.lattices.append(lattice)

    def __call__(self, q: Tensor) -> Tensor:
        """Filter marginals (B, N, K) by the weighted sum of the kernels."""
        first, *others = self.lattices
        total = first(q)
        for lattice in others:
            total += lattice(q)
        return total


class ExactMessages:
    """Messages through the dense kernels, merged in one matrix.

    Args:
        kernels: Kernels with features of N points each.
        max_bytes: Largest memory to hold. The matrix is kept if it takes no
            more than half of that. Else it is computed again at every call,
            some rows at a time: slow, but for any size.
    """

    def __init__(self, kernels: Sequence[Kernel], max_bytes: int) -> None:
        self.points = [
            kernel.features.transpose(1, 2).contiguous() for kernel in kernels
        ]
        batch = max(len(points) for points in self.points)
        num_points = self.points[0].shape[-1]
        row_bytes = 4 * batch * num_points
        block_bytes = max_bytes // 8
        if self.points[0].device.type == 'cpu':
            block_bytes = min(block_bytes, CPU_BLOCK_BYTES)
        rows = max(1, block_bytes // row_bytes)
        self.blocks = [
            slice(start, start + rows) for start in range(0, num_points, rows)
        ]
        self.scales = []
        for points, kernel in zip(self.points, kernels):
            sums = [_rows(points, block).sum(-1) for block in self.blocks]
            norm = kernel.compat / (torch.cat(sums, dim=1) + NORM_EPS)
            self.scales.append(norm.sqrt())
        self.matrix = None
        if num_points * row_bytes <= max_bytes // 2:
            self.matrix = torch.cat(
                [self._merged(block) for block in self.blocks], dim=1
            )

    def __call__(self, q: Tensor) -> Tensor:
        """Filter marginals (B, N, K) by the weighted sum of the kernels."""
        if self.matrix is not None:
            return torch.matmul(self.matrix, q)
        products = [
            torch.matmul(self._merged(block), q) for block in self.blocks
        ]
        return torch.cat(products, dim=1)

    def _merged(self, block: slice) -> Tensor:
        """Return rows of the weighted sum of the normalised kernels."""
        merged = None
        for points, scale in zip(self.points, self.scales):
            rows = _rows(points, block)
            rows *= scale[:, block, None]
            rows *= scale[:, None]
            merged = rows if merged is None else merged + rows
        return merged


def _rows(points: Tensor, block: slice) -> Tensor:
    """Return rows of exp(-|f_i - f_j|^2 / 2) of points (B, d, N).

    Computed from differences: |a|^2 - 2ab + |b|^2 loses precision, most of
    all where matrix products may use TF32.
    """
    exponent = None
    for axis in points.unbind(1):
        square = (axis[:, block, None] - axis[:, None]).square_()
        exponent = square if exponent is None else exponent.add_(square)
    return exponent.mul_(-0.5).exp_()
