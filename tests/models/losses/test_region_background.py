import math

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses.region_background import (
    BackgroundSuppressionLoss,
    background_suppression,
)


def naive(similarity, mask, threshold, over_texts):
    """Pair by pair and text by text, with plain logs."""
    penalties = []
    for row, own in zip(similarity.tolist(), mask.tolist()):
        texts = [s for s, is_text in zip(row, own) if is_text]
        hits = [s for s in texts if threshold is None or s > threshold]
        total = -sum(math.log(1 - s) for s in hits)
        number = max(len(texts), 1) if over_texts == 'mean' else 1
        penalties.append(total / number)
    return torch.tensor(penalties)


@pytest.mark.parametrize('threshold', [None, 0.26, -0.5])
@pytest.mark.parametrize('over_texts', ['sum', 'mean'])
def test_is_its_formula(device, threshold, over_texts):
    similarity = 1.8 * torch.rand(6, 5, device=device) - 0.95
    mask = torch.rand(6, 5, device=device) < 0.6
    mask[0] = False
    torch.testing.assert_close(
        background_suppression(similarity, mask, threshold, over_texts).cpu(),
        naive(similarity, mask, threshold, over_texts),
    )


def test_by_hand(make_regions):
    """One hit in the first pair, two in the second, none in the third."""
    regions = make_regions(
        texts=2, object_background=[[0.5, 0.2], [0.5, 0.75], [0.1, -0.4]]
    )
    total = math.log(2) + math.log(2) + math.log(4)
    for reduction, expected in (('sum', total), ('mean', total / 3)):
        loss = BackgroundSuppressionLoss(reduction=reduction)(regions)
        assert loss.item() == pytest.approx(expected)
    loss = BackgroundSuppressionLoss(over_texts='mean', reduction='sum')
    assert loss(regions).item() == pytest.approx(total / 2)


def test_published_constants(make_regions):
    regions = make_regions(texts=1, images=[0], labels=[0])
    regions.object_background.data.fill_(0.27)
    loss = BackgroundSuppressionLoss()(regions)
    assert loss.item() == pytest.approx(0.31, abs=0.005)
    loss.backward()
    assert regions.object_background.grad.item() == pytest.approx(
        1.37, abs=0.005
    )


def test_gate(make_regions):
    """At and below the threshold nothing is pushed, above it down."""
    regions = make_regions(
        texts=3, object_background=torch.tensor([0.25, 0.26, 0.27])
    )
    loss = BackgroundSuppressionLoss(threshold=0.26)(regions)
    loss.backward()
    grad = regions.object_background.grad
    assert (grad[:, :2] == 0).all()
    assert (grad[:, 2] > 0).all()
    # All texts far below: the optimum of a loss with a threshold.
    regions = make_regions(object_background=-0.9)
    assert BackgroundSuppressionLoss()(regions) == 0
    # Without one, texts are pushed away for ever.
    assert BackgroundSuppressionLoss(threshold=None)(regions) < 0


def test_sum_is_the_number_of_pairs_times_the_mean(make_regions):
    regions = make_regions(
        images=25 * [0], labels=25 * [1], object_background=0.3
    )
    total = BackgroundSuppressionLoss(reduction='sum')
    mean = BackgroundSuppressionLoss(loss_weight=25.0)
    torch.testing.assert_close(total(regions), mean(regions))


def test_more_texts(make_regions):
    """The sum over texts grows with their number, the mean does not."""
    few = make_regions(texts=2, object_background=0.3)
    many = make_regions(texts=8, object_background=0.3)
    for over_texts, factor in (('sum', 4), ('mean', 1)):
        loss = BackgroundSuppressionLoss(over_texts=over_texts)
        torch.testing.assert_close(loss(many), factor * loss(few))


def test_built_from_a_config_and_bad_values():
    cbs = 'BackgroundSuppressionLoss'
    loss = MODELS.build(dict(type=cbs, threshold=None))
    assert loss.loss_name == 'loss_cbs'
    assert loss.threshold is None
    with pytest.raises(ValueError, match="over_texts='max'"):
        MODELS.build(dict(type=cbs, over_texts='max'))
    with pytest.raises(ValueError, match="reduction='none'"):
        MODELS.build(dict(type=cbs, reduction='none'))
    with pytest.raises(ValueError, match='threshold=26'):
        MODELS.build(dict(type=cbs, threshold=26))
