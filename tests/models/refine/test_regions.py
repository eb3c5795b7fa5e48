import pytest
import torch

from mmseg_weakclip.models.refine import regions as module
from mmseg_weakclip.models.refine.regions import (
    join_masks,
    label_regions,
    mean_scores,
    refine_by_regions,
    vote_by_regions,
)

EMPTY = torch.zeros(0, 3, 4, dtype=torch.bool)


def boxes(device, *spans, size=(3, 4)):
    """Regions of rows and columns."""
    regions = torch.zeros(len(spans), *size, dtype=torch.bool, device=device)
    for region, (top, bottom, left, right) in zip(regions, spans):
        region[top:bottom, left:right] = True
    return regions


def naive_vote(scores, regions, margin):
    """Pixel by pixel, region by region."""
    voted = scores.clone()
    for y in range(scores.shape[1]):
        for x in range(scores.shape[2]):
            smallest = None
            for region in regions:
                means = torch.stack([s[region].mean() for s in scores])
                first, second = means.sort(descending=True).values[:2]
                sure = first - second > margin
                if region[y, x] and sure:
                    area = region.sum()
                    if smallest is None or area < smallest:
                        smallest = area
                        voted[:, y, x] = means
    return voted


@pytest.mark.parametrize('margin', [0.0, 0.1, 0.3])
def test_vote_is_the_naive_one(device, margin):
    torch.manual_seed(0)
    scores = torch.rand(3, 7, 9)
    regions = boxes(
        'cpu', (0, 3, 0, 2), (0, 7, 0, 9), (2, 4, 1, 5), (5, 6, 6, 9),
        (2, 3, 2, 3), (1, 7, 4, 9), size=(7, 9),
    )  # fmt: skip
    expected = naive_vote(scores, regions, margin)
    found = vote_by_regions(scores.to(device), regions.to(device), margin)
    assert torch.allclose(found.cpu(), expected, atol=1e-6)


def test_vote_by_hand(device):
    """The left region is sure of class 1, the right one of none."""
    scores = torch.tensor(
        [[[0.6, 0.2, 0.6, 0.4]], [[0.4, 0.9, 0.4, 0.6]]], device=device
    )
    regions = boxes(device, (0, 1, 0, 2), (0, 1, 2, 4), size=(1, 4))
    found = vote_by_regions(scores, regions, margin=0.1)
    expected = [[[0.4, 0.4, 0.6, 0.4]], [[0.65, 0.65, 0.4, 0.6]]]
    assert torch.allclose(found.cpu(), torch.tensor(expected))


def test_vote_of_one_class(device):
    scores = torch.tensor([[[1.0, 3.0, 5.0]]], device=device)
    regions = boxes(device, (0, 1, 0, 2), size=(1, 3))
    found = vote_by_regions(scores, regions, margin=9)
    assert found.tolist() == [[[2.0, 2.0, 5.0]]]


def test_means_in_parts(device, monkeypatch):
    scores = torch.rand(3, 5, 6, device=device)
    regions = torch.rand(7, 5, 6, device=device) < 0.5
    regions[:, 0, 0] = True
    whole = mean_scores(scores, regions)
    monkeypatch.setattr(module, 'CHUNK', 2)
    assert torch.allclose(mean_scores(scores, regions), whole, atol=1e-6)
    one = torch.stack([channel[regions[3]].mean() for channel in scores])
    assert torch.allclose(whole[3], one, atol=1e-6)


def test_sepl_by_hand(device):
    """Class 1 is half of the upper row: the row has more than half of its
    four pixels in it, class 2 is nearly whole in the lower region."""
    mask = torch.tensor(
        [[1, 1, 1, 0], [0, 0, 255, 2], [0, 2, 0, 0]], device=device
    )
    regions = boxes(device, (0, 1, 0, 4), (2, 3, 0, 4))
    # One of four pixels, and one of two of the class: neither is enough.
    found = join_masks(mask, regions)
    assert found.tolist() == [[1, 1, 1, 1], [0, 0, 255, 2], [0, 0, 0, 0]]
    found = join_masks(mask, regions, covers=0.5)
    assert found.tolist() == [[1, 1, 1, 1], [0, 0, 255, 2], [2, 2, 2, 2]]


def test_sepl_region_of_two_classes(device):
    """It goes to the class it overlaps most."""
    mask = torch.tensor([[1, 1, 2, 0]], device=device)
    regions = boxes(device, (0, 1, 0, 4), size=(1, 4))
    assert join_masks(mask, regions).tolist() == [[1, 1, 1, 1]]
    mask = torch.tensor([[1, 2, 2, 0]], device=device)
    assert join_masks(mask, regions).tolist() == [[2, 2, 2, 2]]


def test_sepl_without_classes(device):
    mask = torch.zeros(3, 4, dtype=torch.int64, device=device)
    regions = boxes(device, (0, 1, 0, 4))
    assert not join_masks(mask, regions).any()


def test_fma_by_hand(device):
    """The whole object over its part, the sure one over the unsure one.

    Means of class 1: 1, 0.5, 0 in 0..1; of class 2: 0, 0.2, 1. The middle
    region has 0.5 for class 1 and (1 - 0.5) ** 0.6 = 0.66 for the background.
    """
    cams = torch.tensor(
        [[[2.0, 1.0, 0.0, -5.0]], [[0.0, 0.2, 1.0, -5.0]]], device=device
    )
    regions = boxes(
        device, (0, 1, 0, 1), (0, 1, 1, 2), (0, 1, 2, 3), size=(1, 4)
    )
    levels = torch.zeros(3, device=device)
    found = label_regions(cams, regions, levels)
    assert found.tolist() == [[1, 0, 2, 0]]
    assert label_regions(cams, regions, levels, power=2.0).tolist() == [
        [1, 1, 2, 0]
    ]


@pytest.mark.parametrize(
    ('levels', 'expected'), [((0, 1), [1, 1]), ((1, 0), [2, 1])]
)
def test_fma_paints_higher_levels_last(device, levels, expected):
    cams = torch.tensor([[[0.0, 9.0]], [[3.0, 0.0]]], device=device)
    regions = boxes(device, (0, 1, 0, 1), (0, 1, 0, 2), size=(1, 2))
    found = label_regions(cams, regions, torch.tensor(levels, device=device))
    assert found.tolist() == [expected]


@pytest.mark.parametrize('recipe', module.RECIPES)
def test_no_regions(device, recipe):
    torch.manual_seed(0)
    scores = torch.rand(3, 3, 4, device=device)
    found = refine_by_regions(
        scores, EMPTY.to(device), torch.zeros(0, device=device), recipe
    )
    assert found.shape == scores.shape
    assert found.dtype == torch.float32
    if recipe == 'fma':
        assert not found.argmax(0).any()
    else:
        assert torch.equal(found.argmax(0), scores.argmax(0))


@pytest.mark.parametrize('recipe', module.RECIPES)
def test_perfect_regions_give_perfect_masks(device, recipe):
    """Noisy scores, and the objects themselves as regions."""
    torch.manual_seed(0)
    truth = torch.zeros(40, 50, dtype=torch.int64)
    truth[5:20, 5:30], truth[22:38, 20:45] = 1, 2
    truth = truth.to(device)
    regions = torch.stack([truth == k for k in range(3)])
    scores = torch.nn.functional.one_hot(truth, 3).permute(2, 0, 1)
    scores = 0.2 * scores + torch.rand(3, 40, 50, device=device)
    assert (scores.argmax(0) != truth).float().mean() > 0.2
    levels = torch.zeros(3, device=device)
    found = refine_by_regions(scores, regions, levels, recipe)
    if recipe == 'sepl':
        # It reads the mask alone, in which no class has half of its object.
        found = refine_by_regions(scores, regions, levels, recipe, inside=0.3)
    assert torch.equal(found.argmax(0), truth)


@pytest.mark.parametrize('recipe', module.RECIPES)
def test_autocast_changes_nothing(device, recipe):
    torch.manual_seed(0)
    scores = torch.rand(4, 9, 8, device=device)
    regions = torch.rand(6, 9, 8, device=device) < 0.4
    levels = torch.zeros(6, device=device)
    expected = refine_by_regions(scores, regions, levels, recipe)
    with torch.autocast(device.type, torch.bfloat16):
        found = refine_by_regions(scores, regions, levels, recipe)
    assert torch.equal(found, expected)


def test_unknown_recipe():
    with pytest.raises(ValueError, match="recipe='sam' must be one of"):
        refine_by_regions(torch.rand(2, 3, 4), EMPTY, torch.zeros(0), 'sam')
