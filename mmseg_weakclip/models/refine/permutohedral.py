"""Gaussian filter on the permutohedral lattice, in plain PyTorch.

Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the
Permutohedral Lattice" (Eurographics 2010), section 3; symbols are theirs.

Points are lifted to the hyperplane sum(x) = 0 of d + 1 dimensions, which the
lattice A*_d tiles with simplices. A filter is splat (give each value to the
d + 1 vertices around it), blur (1-2-1 along each of the d + 1 lattice
directions) and slice (read back with the splat's weights). Each of the three
is a weighted sum of rows, so each is one ``embedding_bag``: no loop over
points, no atomics (two runs give the same bits) and no compiler.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.models.transfer import device_constant

# One direction of the blur: the vertex itself and its two neighbours. The
# published 1/2, 1, 1/2 is 1/4, 1/2, 1/4 times 2; normalisation cancels it.
BLUR = (1.0, 0.5, 0.5)
# On a GPU one thread walks a bag. Flat regions put thousands of points into
# one vertex, so bags are cut into parts of at most this many.
LONGEST_BAG = 256


def _elevate(points: Tensor) -> Tensor:
    """Lift (d, N) points to the hyperplane: (d + 1, N) in simplex units.

    The scale makes the blur plus the linear splat and slice a Gaussian of
    standard deviation one (section 3.1); dividing by d + 1 turns the lattice
    points of remainder 0 into integer points.
    """
    d = len(points)
    deviation = math.sqrt(2 / 3) * (d + 1)
    tail = torch.zeros_like(points[0])
    rows = []
    for i in range(d, 0, -1):
        scaled = points[i - 1] * (deviation / math.sqrt(i * (i + 1)))
        rows.append(tail - i * scaled)
        tail = tail + scaled
    rows.append(tail)
    return torch.stack(rows[::-1]) / (d + 1)


def enclosing_simplex(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the simplex around each point and the point's place in it.

    Args:
        points: Points, shape (d, N), in standard deviations of the kernel.

    Returns:
        origin: The simplex's vertex of remainder 0 divided by d + 1, int64,
            shape (d + 1, N).
        rank: The axes' places 0..d by descending offset of the point from
            that vertex, int64, shape (d + 1, N). Vertex k of the simplex is
            ``(d + 1) * origin + k``, less d + 1 where ``rank > d - k``.
        weight: Barycentric coordinates of the point for the vertices
            k = 0..d, shape (d + 1, N), summing to one.
    """
    elevated = _elevate(points)
    n = len(elevated)
    # Nearest integer; halves go down.
    origin = torch.ceil(elevated - 0.5)
    rank = descending_ranks(elevated - origin)
    # Rounding may leave the hyperplane by sum(origin) steps; go back along
    # the axes that were rounded the most (Conway and Sloane, 1982).
    rank += origin.sum(0).to(torch.int8)
    wrap = (rank < 0).to(torch.int8) - (rank >= n).to(torch.int8)
    rank = (rank + wrap * n).long()
    origin += wrap
    offset = torch.empty_like(elevated).scatter_(0, rank, elevated - origin)
    # offset descends by rank: weight_k = offset[d - k] - offset[d - k + 1],
    # with offset[d + 1] := offset[0] - 1.
    following = torch.cat([offset[1:], offset[:1] - 1])
    return origin.long(), rank, (offset - following).flip(0)


def descending_ranks(values: Tensor) -> Tensor:
    """Return the place of each value in its column, the largest first.

    Every pair of rows is compared, which for a few rows takes a twentieth of
    the time of sorting columns.

    Args:
        values: Shape (n, N), n < 128.

    Returns:
        Places 0..n - 1, int8, shape (n, N). Of equal values the upper row
        comes first.
    """
    n = len(values)
    later = torch.arange(n - 1, -1, -1, dtype=torch.int8, device=values.device)
    ranks = later[:, None].repeat(1, values.shape[1])
    for row in range(1, n):
        behind = (values[:row] >= values[row]).to(torch.int8)
        ranks[:row] -= behind
        ranks[row] += behind.sum(0, dtype=torch.int8)
    return ranks


class PermutohedralLattice:
    """The filter K with K_ij ~ exp(-|f_i - f_j|^2 / 2), up to a factor.

    It is built once per set of points, then applied to any values. Each image
    of a batch has its own lattice, all in one table.

    Args:
        features: Points in units of the standard deviation, float32, shape
            (B, N, d).

    Raises:
        ValueError: The points span so many deviations that lattice vertices
            cannot be numbered in 63 bits.
    """

    def __init__(self, features: Tensor) -> None:
        batch, num_points, d = features.shape
        origin, rank, weight = enclosing_simplex(features.reshape(-1, d).T)
        low, strides = self._strides(origin[:d], batch)
        codes = self._codes(origin, rank, low, strides[1:])
        image = torch.arange(batch, device=codes.device)[:, None]
        codes.view(-1, batch, num_points).add_(strides[0] * image)
        # From here on point by point, its d + 1 vertices in a row.
        weight = weight.T.flatten()
        codes, order = codes.T.flatten().sort(stable=True)
        vertices, index, count = torch.unique_consecutive(
            codes, return_inverse=True, return_counts=True
        )
        index = torch.empty_like(index).scatter_(0, order, index)
        self.num_vertices = len(vertices)
        # Bags of the splat: the points of each vertex. One empty bag follows
        # and makes the row of zeros that stands for a missing neighbour.
        self._splat_points = (order // (d + 1)).int()
        self._splat_weights = weight[order]
        self._splat_offsets = F.pad(count.cumsum(0), (1, 0)).int()
        self._splat_parts = None
        if codes.device.type != 'cpu':
            self._splat_parts = split_bags(
                self._splat_offsets, len(order), LONGEST_BAG
            )
        self._neighbours = self._find_neighbours(vertices, strides[1:])
        # Bags of one size, flat: of a table, embedding_bag would make the
        # offsets at every call.
        self._blur_weights = device_constant(BLUR, weight.device).repeat(
            self.num_vertices + 1
        )
        self._blur_offsets = _even_offsets(self._neighbours[0], len(BLUR))
        self._slice_vertices = index.int()
        self._slice_weights = weight
        self._slice_offsets = _even_offsets(self._slice_vertices, d + 1)

    @staticmethod
    def _strides(origin: Tensor, batch: int) -> tuple[Tensor, Tensor]:
        """Return place values of a mixed-radix number over coordinates.

        The device is waited for once, to check that they are not too large.

        Returns:
            The smallest coordinates, (d,), and 1 + d values: that of the
            image in the batch, then one per coordinate. (The last of the
            d + 1 coordinates follows from the others.) Each digit has room
            for a step of the blur over its end.
        """
        n = len(origin) + 1
        low, high = origin.aminmax(dim=1)
        digits = (high - low + 4) * n + 1
        spans = (high - low + 1).tolist()
        if math.prod((s + 3) * n + 1 for s in spans) * batch >= 2**63:
            raise ValueError(
                'the permutohedral lattice has too many vertices to number: '
                f'its {n - 1} coordinates span {spans} steps. Take wider '
                'kernels or the exact form of the filter'
            )
        return low, F.pad(digits.flip(0), (1, 0), value=1).cumprod(0).flip(0)

    @staticmethod
    def _codes(
        origin: Tensor, rank: Tensor, low: Tensor, strides: Tensor
    ) -> Tensor:
        """Return numbers of all points' vertices k = 0..d, (d + 1, N)."""
        n = len(origin)
        stride = F.pad(strides, (0, 1))[:, None]
        places = origin[:-1] - (low - 2)[:, None]
        first = (places * (n * stride[:-1])).sum(0)
        # Vertex k takes d + 1 off the k coordinates of highest rank.
        by_rank = torch.empty_like(rank).scatter_(
            0, rank, stride.expand_as(rank)
        )
        taken = F.pad(by_rank.flip(0).cumsum(0)[:-1], (0, 0, 1, 0))
        steps = torch.arange(n, device=rank.device)[:, None] * stride.sum()
        return first + steps - n * taken

    @staticmethod
    def _find_neighbours(vertices: Tensor, strides: Tensor) -> list[Tensor]:
        """Return rows of each vertex and its two neighbours, per direction.

        Returns:
            d + 1 tensors, int32, shape ((M + 1) * 3,). Row M stands for
            every vertex that no point touches and has only itself.
        """
        count = len(vertices)
        itself = torch.arange(count + 1, device=vertices.device)
        neighbours = []
        # A step goes d + 1 up along one axis and one down along all.
        steps = (len(strides) + 1) * F.pad(strides, (0, 1)) - strides.sum()
        for step in steps:
            wanted = vertices + step
            found = torch.searchsorted(vertices, wanted).clamp_(max=count - 1)
            found = torch.where(vertices[found] == wanted, found, count)
            ahead = F.pad(found, (0, 1), value=count)
            behind = torch.full_like(ahead, count).scatter_(0, ahead, itself)
            # All vertices with nothing ahead wrote here, in any order.
            behind[count] = count
            rows = torch.stack([itself, ahead, behind], 1)
            neighbours.append(rows.int().flatten())
        return neighbours

    def scale_(self, scale: Tensor) -> None:
        """Turn the filter K into diag(scale) K diag(scale).

        Args:
            scale: One factor per point, shape (B, N).
        """
        scale = scale.flatten()
        self._splat_weights = self._splat_weights * scale[self._splat_points]
        width = len(self._slice_weights) // len(scale)
        self._slice_weights = (
            self._slice_weights.view(-1, width) * scale[:, None]
        ).flatten()

    def __call__(self, values: Tensor) -> Tensor:
        """Filter ``values``, float32, shape (B, N, K), to that shape."""
        table = self._splat(values.flatten(0, 1))
        for rows in self._neighbours:
            table = F.embedding_bag(
                rows,
                table,
                self._blur_offsets,
                mode='sum',
                per_sample_weights=self._blur_weights,
            )
        return F.embedding_bag(
            self._slice_vertices,
            table,
            self._slice_offsets,
            mode='sum',
            per_sample_weights=self._slice_weights,
        ).view_as(values)

    def _splat(self, values: Tensor) -> Tensor:
        """Sum values (B * N, K) at the vertices and a last, empty row."""
        offsets = self._splat_offsets
        if self._splat_parts is not None:
            offsets, parts, part_offsets = self._splat_parts
        table = F.embedding_bag(
            self._splat_points,
            values,
            offsets,
            mode='sum',
            per_sample_weights=self._splat_weights,
        )
        if self._splat_parts is not None:
            table = F.embedding_bag(parts, table, part_offsets, mode='sum')
        return table


def _even_offsets(rows: Tensor, size: int) -> Tensor:
    """Return the first places of bags of ``size`` rows each, int32."""
    return torch.arange(
        0, len(rows), size, dtype=torch.int32, device=rows.device
    )


def split_bags(
    offsets: Tensor, size: int, longest: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut bags into parts of bounded length, without waiting for the device.

    Args:
        offsets: First place of each bag, ascending, int32, (M,).
        size: Number of places in all bags.
        longest: Largest number of places of a part.

    Returns:
        First places of the parts, int32, (P,), some of which are empty;
        0 to P - 1; and the first part of each bag, (M,).
    """
    cuts = torch.arange(
        0, size, longest, dtype=offsets.dtype, device=offsets.device
    )
    parts = torch.cat([offsets, cuts]).sort().values
    numbers = torch.arange(
        len(parts), dtype=offsets.dtype, device=offsets.device
    )
    first = torch.searchsorted(parts, offsets, out_int32=True)
    return parts, numbers, first
