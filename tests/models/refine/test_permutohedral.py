import pytest
import torch
import torch.nn.functional as F
from pretend_cuda import pretend_cuda

from mmseg_weakclip.models.refine import permutohedral
from mmseg_weakclip.models.refine.permutohedral import (
    PermutohedralLattice,
    enclosing_simplex,
    split_bags,
)


def distances(points):
    return (points[..., :, None, :] - points[..., None, :, :]).norm(dim=-1)


def dense_filter(features, values):
    return torch.exp(-distances(features).square() / 2) @ values


def random_points(device, batch=2, count=400, d=5, spread=4.0):
    return spread * torch.rand(batch, count, d).to(device)


@pytest.mark.parametrize('d', [1, 2, 3, 5])
def test_simplex_holds_its_point(device, d):
    points = 7 * torch.randn(d, 500).to(device)
    origin, rank, weight = enclosing_simplex(points)
    assert torch.equal(
        rank.sort(0).values.cpu(), torch.arange(d + 1)[:, None].expand(-1, 500)
    )
    assert weight.min() > -1e-4
    torch.testing.assert_close(weight.sum(0), torch.ones_like(weight[0]))
    # The weighted vertices give back the point on the hyperplane, and the
    # lifting keeps distances up to the factor sqrt(2/3) (d + 1).
    steps = torch.arange(d + 1, device=device)[:, None, None]
    vertices = (d + 1) * origin + steps - (d + 1) * (rank > d - steps)
    assert (vertices.sum(1) == 0).all()
    lifted = (vertices * weight[:, None]).sum(0).T
    scale = (2 / 3) ** 0.5 * (d + 1)
    torch.testing.assert_close(
        distances(lifted), scale * distances(points.T), atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize('d', [2, 3, 5])
def test_approximates_the_gaussian_filter(device, d):
    points = random_points(device, count=1500, d=d, spread=3.0)
    values = torch.rand(2, 1500, 3).to(device)
    values[:, :, 1] = (points[:, :, 0] > 1.5).float()
    lattice = PermutohedralLattice(points)
    ones = torch.ones_like(values)
    ours = lattice(values) / lattice(ones)
    exact = dense_filter(points, values) / dense_filter(points, ones)
    assert (ours - exact).abs().mean() < 0.012
    assert (ours - exact).abs().max() < 0.1


def test_impulse_response_is_a_gaussian():
    """Over many offsets within a cell, the mean response is exp(-r^2 / 2)."""
    radius = torch.linspace(0, 3, 13)
    angle = 2 * torch.pi * torch.rand(2000, 1)
    source = 10 * torch.rand(2000, 1, 2)
    ring = torch.stack([radius * angle.cos(), radius * angle.sin()], -1)
    points = torch.cat([source, source + ring], 1)
    # Dense surroundings, so that the blur finds all vertices.
    grid = torch.cartesian_prod(*[torch.arange(-4, 15, 0.5)] * 2)
    everything = torch.cat([grid, points.flatten(0, 1)])[None]
    lattice = PermutohedralLattice(everything)
    response = []
    for index in range(0, 2000, 50):
        values = torch.zeros(1, everything.shape[1], 1)
        start = len(grid) + index * (len(radius) + 1)
        values[0, start] = 1
        response.append(
            lattice(values)[0, start + 1 : start + 1 + len(radius), 0]
        )
    mean = torch.stack(response).mean(0)
    mean = mean / mean[0]
    expected = torch.exp(-radius.square() / 2)
    assert (mean - expected).abs().max() < 0.08


def test_filter_is_linear_and_non_negative(device):
    lattice = PermutohedralLattice(random_points(device))
    a, b = torch.rand(2, 2, 400, 4).to(device)
    torch.testing.assert_close(
        lattice(a + 2 * b), lattice(a) + 2 * lattice(b), atol=1e-4, rtol=1e-4
    )
    assert lattice(a).min() >= 0


def test_images_of_a_batch_are_apart(device):
    points = random_points(device, batch=3)
    values = torch.rand(3, 400, 4).to(device)
    together = PermutohedralLattice(points)(values)
    for index in range(3):
        alone = PermutohedralLattice(points[index : index + 1])
        own = alone(values[index : index + 1])[0]
        torch.testing.assert_close(together[index], own)
        if device.type == 'cpu':
            assert torch.equal(together[index], own)


def test_same_points_in_two_images_do_not_mix(device):
    points = random_points(device, batch=1).expand(2, -1, -1)
    values = torch.rand(2, 400, 1).to(device)
    values[1] = 0
    assert (PermutohedralLattice(points)(values)[1] == 0).all()


def test_two_runs_give_the_same_bits(device):
    points, values = random_points(device), torch.rand(2, 400, 4).to(device)
    first = PermutohedralLattice(points)(values)
    assert torch.equal(first, PermutohedralLattice(points)(values))


def test_scaling_multiplies_rows_and_columns(device):
    points, values = random_points(device), torch.rand(2, 400, 4).to(device)
    scale = torch.rand(2, 400).to(device)
    lattice = PermutohedralLattice(points)
    expected = scale[..., None] * lattice(scale[..., None] * values)
    lattice.scale_(scale)
    torch.testing.assert_close(lattice(values), expected)


def test_far_apart_points_keep_to_themselves(device):
    points = torch.arange(5.0, device=device)[None, :, None] * 100
    values = torch.eye(5, device=device)[None]
    filtered = PermutohedralLattice(points.expand(-1, -1, 3))(values)[0]
    assert torch.equal(filtered > 0, values[0] > 0)


def test_too_many_vertices_are_refused():
    points = torch.tensor([[0.0] * 5, [1e6] * 5])[None]
    with pytest.raises(ValueError, match='exact form'):
        PermutohedralLattice(points)


def test_bags_are_cut_into_parts(device):
    """Bags of 0, 5, 1, 0, 9 and 0 places, cut after 4 places each."""
    sizes = torch.tensor([0, 5, 1, 0, 9, 0])
    offsets = F.pad(sizes.cumsum(0)[:-1], (1, 0)).int().to(device)
    parts, numbers, first = split_bags(offsets, 15, 4)
    places = [*parts.tolist(), 15]
    lengths = [b - a for a, b in zip(places, places[1:])]
    assert max(lengths) <= 4
    assert numbers.tolist() == list(range(len(lengths)))
    owned = [*first.tolist(), len(lengths)]
    together = [sum(lengths[a:b]) for a, b in zip(owned, owned[1:])]
    assert together == sizes.tolist()


def test_cut_bags_have_the_same_sums(device, monkeypatch):
    """Many points in few cells, as in a flat sky."""
    points = random_points(device, spread=0.5)
    values = torch.rand(2, 400, 4).to(device)
    results = []
    for longest in (10**6, 7, 1):
        monkeypatch.setattr(permutohedral, 'LONGEST_BAG', longest)
        lattice = PermutohedralLattice(points)
        # The CPU has no use for parts, but the same sums.
        lattice._splat_parts = split_bags(
            lattice._splat_offsets, len(lattice._splat_points), longest
        )
        results.append(lattice(values))
    assert lattice.num_vertices < 100
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])


def test_waits_of_a_lattice():
    """One for the extremes, one for the number of vertices."""
    with pretend_cuda() as events:
        points = random_points('cuda')
        values = torch.rand(2, 400, 4, device='cuda')
        PermutohedralLattice(points)
        events.clear()
        PermutohedralLattice(points)(values)
        assert events.waits.total() == 2
        assert not events.uploads
