import math

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses.region_nce import (
    InfoNCERegionLoss,
    image_contrast,
    pair_contrast,
    two_sided_contrast,
)

OPTIONS = [
    dict(include_positive=included, background_reduction=reduction)
    for included in (False, True)
    for reduction in ('sum', 'mean')
]


def average(values):
    return sum(values) / len(values) if values else 0.0


def naive(regions, form, t, include_positive, background_reduction):
    """The equations with exp and log, pair by pair."""

    def exps(row, own):
        return [math.exp(s / t) for s, is_text in zip(row, own) if is_text]

    pairs = []
    for i in range(len(regions.images)):
        own = regions.background_mask[i].tolist()
        ob = exps(regions.object_background[i].tolist(), own)
        bb = exps(regions.rest_background[i].tolist(), own)
        pairs.append(
            dict(
                image=regions.images[i].item(),
                oo=math.exp(regions.object_text[i].item() / t),
                bo=math.exp(regions.rest_text[i].item() / t),
                ob=sum(ob) if background_reduction == 'sum' else average(ob),
                bb=average(bb),
                has_texts=bool(ob),
            )
        )

    def minus_log(positive, negative):
        return -math.log(positive / (negative + include_positive * positive))

    if form == 'frc_brc':
        return average(
            [
                minus_log(p['oo'], p['ob']) + minus_log(p['bb'], p['bo'])
                for p in pairs
                if p['has_texts']
            ]
        )
    if form == 'per_class':
        groups = [[pair] for pair in pairs]
    else:
        images = {pair['image'] for pair in pairs}
        groups = [[p for p in pairs if p['image'] == b] for b in images]
    return average(
        [
            minus_log(
                math.prod(p['oo'] for p in group),
                sum(p['ob'] + p['bo'] for p in group),
            )
            for group in groups
        ]
    )


@pytest.mark.parametrize('form', ['eq9', 'per_class', 'frc_brc'])
@pytest.mark.parametrize('temperature', [0.07, 0.7])
@pytest.mark.parametrize('options', OPTIONS)
def test_is_its_formula(make_regions, form, temperature, options):
    regions = make_regions(
        images=(2, 0, 2, 2, 0, 3),
        labels=(0, 1, 2, 3, 3, 0),
        size=(4, 5),
        background_mask=[
            [1, 1, 1, 1],
            [1, 0, 0, 1],
            [0, 1, 1, 1],
            [0, 0, 0, 0],
            [0, 1, 0, 0],
            [1, 1, 1, 1],
        ],
    )
    loss = InfoNCERegionLoss(form, temperature, loss_weight=2.0, **options)
    assert loss(regions).item() == pytest.approx(
        2 * naive(regions, form, temperature, **options), rel=1e-4, abs=1e-5
    )


def ten_texts(make_regions):
    """One pair of the usual cosines, ten texts."""
    return make_regions(
        images=[0],
        labels=[1],
        texts=10,
        object_text=0.28,
        rest_text=0.2,
        object_background=0.2,
    )


@pytest.mark.parametrize(('t', 'expected'), [(0.07, 1.26), (0.7, 2.28)])
@pytest.mark.parametrize('form', ['eq9', 'per_class'])
def test_one_pair_by_hand(make_regions, form, t, expected):
    """Eleven negatives alike: log 11 - 0.08 / t."""
    regions = ten_texts(make_regions)
    loss = InfoNCERegionLoss(form, t)(regions)
    assert loss.item() == pytest.approx(math.log(11) - 0.08 / t, abs=1e-5)
    assert loss.item() == pytest.approx(expected, abs=0.005)
    loss.backward()
    assert regions.object_text.grad.item() == pytest.approx(-1 / t)
    # The rest is one negative of eleven.
    assert regions.rest_text.grad.item() == pytest.approx(1 / t / 11)


def test_mean_over_texts_leaves_the_rest_its_half(make_regions):
    regions = ten_texts(make_regions)
    loss = InfoNCERegionLoss(background_reduction='mean')(regions)
    assert loss.item() == pytest.approx(math.log(2) - 0.08 / 0.7, abs=1e-5)
    loss.backward()
    assert regions.rest_text.grad.item() == pytest.approx(0.5 / 0.7)


def test_two_sided_by_hand(make_regions):
    """Exponentials 4 against 1 + 3, and (2 + 4) / 2 against 6."""
    regions = make_regions(
        images=[0],
        labels=[1],
        texts=2,
        object_text=math.log(4),
        object_background=torch.tensor([1.0, 3.0]).log(),
        rest_background=torch.tensor([2.0, 4.0]).log(),
        rest_text=math.log(6),
    )
    loss = InfoNCERegionLoss('frc_brc', temperature=1.0)
    expected = -math.log(4 / 8) - math.log(3 / 9)
    assert loss(regions).item() == pytest.approx(expected)


def test_two_weights(make_regions):
    """The 10 : 8 of QA-CLIMS, for each of the two contrasts alone."""
    regions = make_regions()

    def loss(**options):
        return InfoNCERegionLoss(form='frc_brc', **options)(regions)

    frc, brc = loss(weights=(1.0, 0.0)), loss(weights=(0.0, 1.0))
    assert torch.allclose(loss(), frc + brc)
    weighted = loss(weights=(10.0, 8.0), loss_weight=0.5)
    assert torch.allclose(weighted, 5 * frc + 4 * brc)
    with pytest.raises(ValueError, match=r"\(10, 8\).*'frc_brc'.*'eq9'"):
        InfoNCERegionLoss(weights=(10, 8))
    with pytest.raises(ValueError, match=r'weights=\(1,\)'):
        InfoNCERegionLoss(form='frc_brc', weights=(1,))


def test_positives_of_an_image_multiply(make_regions):
    """Two classes of one image: sum of cosines above, all below."""
    regions = make_regions(
        images=(1, 1), labels=(0, 2), texts=0, object_text=0.3, rest_text=0.2
    )
    loss = InfoNCERegionLoss('eq9', temperature=0.1)(regions)
    assert loss.item() == pytest.approx(-6 + math.log(2) + 2, abs=1e-5)
    alone = InfoNCERegionLoss('per_class', temperature=0.1)(regions)
    assert alone.item() == pytest.approx(-3 + 2, abs=1e-5)


def test_forms_agree_on_one_class_for_each_image(make_regions):
    regions = make_regions(images=(0, 1, 3), labels=(0, 0, 1), size=(4, 2))
    for options in OPTIONS:
        torch.testing.assert_close(
            image_contrast(regions, 0.7, **options),
            pair_contrast(regions, 0.7, **options),
        )


@pytest.mark.parametrize('form', ['eq9', 'per_class', 'frc_brc'])
def test_with_the_positive_zero_is_the_bound(make_regions, form):
    best = make_regions(
        object_text=1.0,
        rest_text=-1.0,
        object_background=-1.0,
        rest_background=1.0,
    )
    included = InfoNCERegionLoss(form, 0.05, include_positive=True)
    assert included(best).item() == pytest.approx(0, abs=1e-6)
    assert included(make_regions()) > 0
    assert InfoNCERegionLoss(form, 0.05, include_positive=False)(best) < -30


def test_default_denominator_is_that_of_the_paper():
    for form, included in (
        ('eq9', False),
        ('per_class', False),
        ('frc_brc', True),
    ):
        assert InfoNCERegionLoss(form).include_positive is included


@pytest.mark.parametrize('form', ['eq9', 'per_class', 'frc_brc'])
@pytest.mark.parametrize('included', [False, True])
def test_gradient_has_the_sign_of_the_roles(make_regions, form, included):
    regions = make_regions()
    InfoNCERegionLoss(form, include_positive=included)(regions).backward()
    assert (regions.object_text.grad < 0).all()
    assert (regions.rest_text.grad > 0).all()
    assert (regions.object_background.grad > 0).all()
    if form == 'frc_brc':
        assert (regions.rest_background.grad < 0).all()
    else:
        assert regions.rest_background.grad is None


def test_pairs_without_texts(make_regions):
    mask = [4 * [True], 4 * [False], 4 * [True]]
    regions = make_regions(background_mask=mask)
    # The rest is the only negative.
    alone = pair_contrast(regions, 0.7)[1]
    torch.testing.assert_close(
        alone, (regions.rest_text[1] - regions.object_text[1]) / 0.7
    )
    # No contrast on either side.
    assert two_sided_contrast(regions, 0.7).shape == (2,)
    InfoNCERegionLoss('frc_brc')(regions).backward()
    assert regions.object_text.grad[1] == 0
    assert regions.rest_text.grad[1] == 0
    assert (regions.object_text.grad[::2] < 0).all()


def test_bad_values_are_named():
    for bad in (
        dict(form='eq10'),
        dict(temperature=0.0),
        dict(background_reduction='max'),
    ):
        ((name, value),) = bad.items()
        with pytest.raises(ValueError, match=f'{name}={value!r}'):
            MODELS.build(dict(type='InfoNCERegionLoss', **bad))
