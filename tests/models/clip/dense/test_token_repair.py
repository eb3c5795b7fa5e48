"""Repair and smoothing of tokens, token by token."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.clip.dense.token_repair import (
    find_outliers,
    outlier_factors,
    repair_tokens,
    smooth_tokens,
)

GRID = (4, 5)


def naive_factors(tokens, k):
    """LOF of one image by its definition, reachability from oneself."""
    count = len(tokens)
    distance = [
        [float((a - b).square().sum()) for b in tokens] for a in tokens
    ]
    nearest, reach = [], []
    for i in range(count):
        others = sorted((distance[i][j], j) for j in range(count) if j != i)
        nearest.append([j for _, j in others[:k]])
        reach.append(others[k - 1][0])
    density = [
        k / sum(max(reach[i], distance[i][j]) for j in nearest[i])
        for i in range(count)
    ]
    return torch.tensor(
        [
            sum(density[j] for j in nearest[i]) / k / density[i]
            for i in range(count)
        ]
    )


def test_factors_by_definition(device):
    tokens = torch.randn(2, 20, 6)
    found = outlier_factors(tokens.to(device), 4).cpu()
    for image, own in zip(tokens, found):
        assert torch.allclose(own, naive_factors(image, 4), rtol=1e-4)


def test_the_odd_one_is_found(device):
    tokens = torch.randn(1, 20, 6, device=device)
    tokens[0, 7] += 30
    found = find_outliers(tokens, 5)
    assert found.cpu().nonzero().tolist() == [[0, 7]]
    # 15 % of 20 tokens.
    assert find_outliers(tokens, 5, 0.15).sum() == 3


def test_too_few_patches_are_named():
    with pytest.raises(ValueError, match='30 neighbours.*only 20 patches'):
        find_outliers(torch.randn(1, 20, 6))


def test_outliers_become_their_neighbours_mean(device):
    tokens = torch.randn(2, 20, 3)
    outliers = torch.rand(2, 20) < 0.4
    outliers[0, [0, 1, 5, 6]] = True  # a corner without valid neighbours
    found = repair_tokens(tokens.to(device), outliers.to(device), GRID).cpu()
    for image in range(2):
        for i in range(20):
            y, x = divmod(i, GRID[1])
            near = [
                tokens[image, GRID[1] * v + u]
                for v in range(max(0, y - 1), min(GRID[0], y + 2))
                for u in range(max(0, x - 1), min(GRID[1], x + 2))
                if not outliers[image, GRID[1] * v + u]
            ]
            expected = tokens[image, i]
            if outliers[image, i] and near:
                expected = torch.stack(near).mean(0)
            assert torch.allclose(found[image, i], expected, atol=1e-6)


def test_smoothing_is_a_weighted_mean(device):
    tokens, features = torch.randn(2, 20, 3), torch.randn(2, 20, 4)
    found = smooth_tokens(tokens.to(device), features.to(device), 0.3).cpu()
    for image in range(2):
        for i in range(20):
            cosines = F.cosine_similarity(
                features[image, i], features[image], dim=1
            )
            cosines[cosines < 0.3] = 0
            expected = cosines @ tokens[image] / cosines.sum()
            assert torch.allclose(found[image, i], expected, atol=1e-5)


def test_neighbours_of_the_region_repair(device):
    """The outlier of a region takes no mean of another's tokens."""
    tokens = torch.arange(20.0, device=device)[None, :, None]
    outliers = torch.zeros(1, 20, dtype=torch.bool, device=device)
    outliers[0, [7, 19]] = True
    regions = torch.zeros(1, 4, 5, dtype=torch.long, device=device)
    regions[0, :, 2:] = 1
    regions[0, 3, 4] = 2
    found = repair_tokens(tokens, outliers, GRID, regions.flatten(1))
    # Token 7 is at (1, 2): 2, 3, 8, 12 and 13 are of its region.
    assert found[0, 7].item() == pytest.approx((2 + 3 + 8 + 12 + 13) / 5)
    # Nothing else is of the region of the last one.
    assert found[0, 19].item() == 19
    regions[:] = -1
    alone = repair_tokens(tokens, outliers, GRID, regions.flatten(1))
    assert torch.equal(alone, repair_tokens(tokens, outliers, GRID))


def test_tokens_are_smoothed_within_their_region(device):
    tokens = torch.randn(1, 5, 3).to(device)
    features = torch.ones(1, 5, 2, device=device)
    regions = torch.tensor([[0, 1, 0, 1, -1]], device=device)
    found = smooth_tokens(tokens, features, regions=regions)
    for own in ([0, 2], [1, 3]):
        mean = tokens[:, own].mean(1, keepdim=True).expand(-1, 2, -1)
        assert torch.allclose(found[:, own], mean, atol=1e-6)
    # A token in no region sees what is like it, wherever it is.
    assert torch.allclose(found[:, 4], tokens.mean(1), atol=1e-6)
