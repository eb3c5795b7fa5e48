"""Message passing of the dense CRF: sum_m compat_m D^-1/2 K_m D^-1/2 q.

Two forms of the same filter. :class:`ExactMessages` has the dense N x N
kernel, :class:`LatticeMessages` its approximation on the permutohedral
lattice, linear in N, which is also what pydensecrf computes. Both take and
give tensors of shape (B, N, K).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .mean_field import NORM_EPS, Kernel
from .permutohedral import PermutohedralLattice

# Blocks of kernel rows that stay in a core's cache.
CPU_BLOCK_BYTES = 2**20


class LatticeMessages:
    """Messages through one permutohedral lattice per kernel."""

    def __init__(self, kernels: Sequence[Kernel]) -> None:
        batch = max(len(kernel.features) for kernel in kernels)
        self.lattices = []
        for features, compat in kernels:
            lattice = PermutohedralLattice(features.expand(batch, -1, -1))
            ones = features.new_ones(batch, features.shape[1], 1)
            row_sums = lattice(ones).squeeze(-1)
            lattice.scale_((compat / (row_sums + NORM_EPS)).sqrt())
            self.lattices.append(lattice)

    def __call__(self, q: Tensor) -> Tensor:
        return sum(lattice(q) for lattice in self.lattices)


class ExactMessages:
    """Messages through the dense kernels, merged in one matrix.

    Args:
        kernels: The kernels, of N points each.
        max_bytes: Bound on the memory held. The matrix is kept where it takes
            no more than half of that, else computed again, some rows at a
            time, at every call: slow, but of any size.
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
        if self.matrix is not None:
            return torch.matmul(self.matrix, q)
        products = [
            torch.matmul(self._merged(block), q) for block in self.blocks
        ]
        return torch.cat(products, dim=1)

    def _merged(self, block: slice) -> Tensor:
        """Rows of the weighted sum of the normalised kernels."""
        merged = None
        for points, scale in zip(self.points, self.scales):
            rows = _rows(points, block)
            rows *= scale[:, block, None]
            rows *= scale[:, None]
            merged = rows if merged is None else merged + rows
        return merged


def _rows(points: Tensor, block: slice) -> Tensor:
    """Rows of exp(-|f_i - f_j|^2 / 2) of points (B, d, N).

    Difference by difference, since |a|^2 - 2ab + |b|^2 cancels badly, all the
    more where matrix products are allowed TF32.
    """
    exponent = None
    for axis in points.unbind(1):
        square = (axis[:, block, None] - axis[:, None]).square_()
        exponent = square if exponent is None else exponent.add_(square)
    return exponent.mul_(-0.5).exp_()
