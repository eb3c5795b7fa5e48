import math

import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.refine.label_propagation import (
    grid_places,
    propagate_labels,
    propagation_graph,
)

SIZE = (3, 5)
STRIDE = 16


@pytest.fixture
def unit(device):
    return F.normalize(torch.randn(2, 15, 4), dim=2).to(device)


@pytest.fixture
def graph(unit):
    return propagation_graph(unit, grid_places(SIZE, STRIDE), 6)


def naive_graph(unit, neighbours, power, decay):
    """One image, pair by pair."""
    count = len(unit)
    rows = [[0.0] * count for _ in range(count)]
    for i in range(count):
        for j in range(count):
            (y, x), (v, u) = divmod(i, SIZE[1]), divmod(j, SIZE[1])
            distance = STRIDE * math.hypot(y - v, x - u)
            cosine = max(float(unit[i] @ unit[j]), 0)
            if i != j:
                rows[i][j] = cosine**power * math.exp(-decay * distance)
        kept = sorted(rows[i], reverse=True)[:neighbours][-1]
        rows[i] = [w if w >= kept else 0.0 for w in rows[i]]
    both = [
        [rows[i][j] + rows[j][i] for j in range(count)] for i in range(count)
    ]
    sums = [sum(row) for row in both]
    return torch.tensor(
        [
            [
                both[i][j] / math.sqrt(sums[i] * sums[j]) if both[i][j] else 0
                for j in range(count)
            ]
            for i in range(count)
        ]
    )


@pytest.mark.parametrize('neighbours', [3, 6, 400])
def test_graph_is_its_formula(unit, neighbours):
    found = propagation_graph(
        unit, grid_places(SIZE, STRIDE), neighbours, 2.0, 0.03
    )
    for image, own in zip(unit.cpu(), found.cpu()):
        expected = naive_graph(image, neighbours, 2.0, 0.03)
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)


def test_graph_is_symmetric_and_bounded(graph):
    torch.testing.assert_close(graph, graph.transpose(1, 2))
    values = torch.linalg.eigvalsh(graph.cpu())
    assert values.abs().max() <= 1 + 1e-5
    assert not graph.diagonal(dim1=1, dim2=2).any()


def test_equals_the_dense_solution(graph, device):
    maps = torch.rand(2, 3, *SIZE, device=device)
    found = propagate_labels(maps, graph, 0.8, 40)
    system = torch.eye(15) - 0.8 * graph.cpu()
    expected = torch.linalg.solve(system, 0.2 * maps.cpu().flatten(2).mT)
    torch.testing.assert_close(
        found.cpu().flatten(2).mT, expected, atol=1e-4, rtol=1e-3
    )


def test_ten_steps_are_nearly_enough(graph, device):
    maps = torch.rand(2, 3, *SIZE, device=device)
    far = propagate_labels(maps, graph, iterations=60)
    near = propagate_labels(maps, graph)
    assert (far - near).abs().max() < 0.02 * far.abs().max()


def test_alpha_of_zero_and_empty_maps(graph, device):
    maps = torch.rand(2, 3, *SIZE, device=device)
    maps[:, 1] = 0
    torch.testing.assert_close(propagate_labels(maps, graph, 0.0), maps)
    found = propagate_labels(maps, graph)
    assert not found[:, 1].any()
    assert found.isfinite().all()


@pytest.mark.parametrize('scale', [1e-6, 1e6])
def test_maps_of_any_scale(graph, device, scale):
    """Also where a map's squares are smaller than the solver's EPS was."""
    maps = torch.rand(2, 3, *SIZE, device=device)
    found = propagate_labels(scale * maps, graph) / scale
    torch.testing.assert_close(
        found, propagate_labels(maps, graph), atol=1e-5, rtol=1e-4
    )


def test_images_and_maps_are_apart(graph, device):
    maps = torch.rand(2, 3, *SIZE, device=device)
    whole = propagate_labels(maps, graph)
    each = propagate_labels(maps[1:, 2:], graph[1:])
    torch.testing.assert_close(whole[1:, 2:], each)


def test_a_class_reaches_what_looks_alike(device):
    """Two kinds of positions; one seed makes all of its kind higher."""
    kinds = torch.arange(15) % 2
    unit = F.one_hot(kinds, 2).float()[None].to(device)
    graph = propagation_graph(unit, grid_places(SIZE, STRIDE), decay=0.0)
    maps = torch.zeros(1, 1, *SIZE, device=device)
    maps[0, 0, 0, 0] = 1
    found = propagate_labels(maps, graph).flatten().cpu()
    assert (found[kinds == 0] > 0.01).all()
    assert found[kinds == 1].abs().max() < 1e-6


def test_lonely_positions_keep_their_share(device):
    unit = torch.eye(15)[None].to(device)  # nothing is like anything
    graph = propagation_graph(unit, grid_places(SIZE, STRIDE))
    assert not graph.any()
    maps = torch.rand(1, 2, *SIZE, device=device)
    torch.testing.assert_close(propagate_labels(maps, graph, 0.9), 0.1 * maps)


def test_half_precision_is_single(unit, device):
    places = grid_places(SIZE, STRIDE)
    maps = torch.rand(2, 3, *SIZE, device=device)
    plain = propagate_labels(maps, propagation_graph(unit, places))
    with torch.autocast(device.type, torch.bfloat16):
        half = propagate_labels(maps, propagation_graph(unit, places))
    assert torch.equal(plain, half)


def test_bad_input(unit, graph):
    with pytest.raises(ValueError, match='12 places for 15 positions'):
        propagation_graph(unit, grid_places((3, 4), STRIDE))
    with pytest.raises(ValueError, match='neighbours=0 must be'):
        propagation_graph(unit, grid_places(SIZE, STRIDE), 0)
    with pytest.raises(ValueError, match='neighbours=2.5 must be a whole'):
        propagation_graph(unit, grid_places(SIZE, STRIDE), 2.5)
    with pytest.raises(ValueError, match='iterations=0 must be at least 1'):
        propagate_labels(torch.rand(2, 1, *SIZE), graph, iterations=0)
    with pytest.raises(ValueError, match=r'alpha=1 must be in \[0, 1\)'):
        propagate_labels(torch.rand(2, 1, *SIZE), graph, 1)
    with pytest.raises(ValueError, match='a graph .* for maps'):
        propagate_labels(torch.rand(2, 1, 3, 4), graph)
