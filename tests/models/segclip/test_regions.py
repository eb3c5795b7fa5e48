"""From regions to pixels, against plain loops over the formulas."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.segclip.regions import (
    paint_regions,
    region_map,
    region_scores,
    unsure_pixels,
)


@pytest.mark.parametrize('topk', [None, 2, 99])
def test_scores_by_loops(device, topk):
    regions = torch.randn(2, 3, 8, device=device)
    image = torch.randn(2, 8, device=device)
    text = F.normalize(torch.randn(5, 8, device=device), dim=1)
    scores = region_scores(regions, image, text, 7.0, topk)
    for b in range(2):
        whole = [float(F.cosine_similarity(image[b], t, 0)) for t in text]
        order = sorted(range(5), key=lambda m: -whole[m])
        allowed = order[: topk or 5]
        for g in range(3):
            cosines = [
                float(F.cosine_similarity(regions[b, g], t, 0)) for t in text
            ]
            weights = torch.tensor(cosines).mul(7).exp()
            first = weights / weights.sum()
            for m in range(5):
                expected = float(first[m])
                if topk:
                    second = weights[m] / weights[allowed].sum()
                    expected *= float(second) if m in allowed else 0.0
                assert scores[b, g, m].item() == pytest.approx(
                    expected, abs=1e-5
                )


def test_regions_are_enlarged_softly_then_chosen(device):
    """Nearest would put the border elsewhere."""
    soft = torch.tensor([[[0.9, 0.4], [0.1, 0.6]]], device=device)
    regions = region_map(soft, (1, 2), (4, 8))
    # Shares of the first: .9 until 2, then falling to .4 at 6; half at 5.2.
    assert regions.shape == (1, 4, 8)
    expected = [0, 0, 0, 0, 0, 1, 1, 1]
    assert regions[0].tolist() == [expected] * 4


def test_paint(device):
    scores = torch.tensor([[[0.1, 0.2], [0.3, 0.4]]], device=device)
    regions = torch.tensor([[[0, 1, 1], [1, 0, 0]]], device=device)
    painted = paint_regions(scores, regions)
    assert torch.allclose(
        painted[0],
        torch.tensor(
            [
                [[0.1, 0.3, 0.3], [0.3, 0.1, 0.1]],
                [[0.2, 0.4, 0.4], [0.4, 0.2, 0.2]],
            ],
            device=device,
        ),
    )


def test_the_surest_region_is_never_unsure(device):
    scores = torch.tensor(
        [[[0.3, 0.2], [0.1, 0.1]], [[0.9, 0.0], [0.6, 0.1]]], device=device
    )
    regions = torch.tensor([[[0, 1]], [[0, 1]]], device=device)
    painted = paint_regions(scores, regions)
    unsure = unsure_pixels(painted, scores, 0.7)
    assert unsure.tolist() == [[[False, True]], [[False, True]]]
    assert not unsure_pixels(painted, scores, 0.0).any()
    assert not unsure_pixels(painted, scores, 0.05).any()
