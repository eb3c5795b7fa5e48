"""What all losses on region similarities have in common."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from mmseg.registry import MODELS

LOSSES = {
    'otm': dict(type='ObjectTextLoss', class_weights={1: 3.0}),
    'otm_clamp': dict(type='ObjectTextLoss', tangent_below=None),
    'btm': dict(type='BackgroundTextLoss', class_weights={1: 3.0}),
    'btm_clamp': dict(type='BackgroundTextLoss', tangent_below=None),
    'cbs': dict(type='BackgroundSuppressionLoss'),
    'cbs_sum': dict(type='BackgroundSuppressionLoss', reduction='sum'),
    'cbs_all': dict(
        type='BackgroundSuppressionLoss', threshold=None, over_texts='mean'
    ),
    'reg': dict(type='ActivationAreaLoss'),
    'reg_present': dict(type='ActivationAreaLoss', classes='present'),
    **{
        f'{form}_{included}_{reduction}': dict(
            type='InfoNCERegionLoss',
            form=form,
            temperature=0.07,
            include_positive=included,
            background_reduction=reduction,
        )
        for form in ('eq9', 'per_class', 'frc_brc')
        for included in (False, True)
        for reduction in ('sum', 'mean')
    },
}
PAIRWISE = (
    'images',
    'labels',
    'object_text',
    'rest_text',
    'object_background',
    'rest_background',
    'background_mask',
)
SIMILARITIES = PAIRWISE[2:6]


@pytest.fixture(params=LOSSES)
def name(request):
    return request.param


@pytest.fixture
def loss(name):
    return MODELS.build(LOSSES[name])


@pytest.fixture
def regions(make_regions):
    """Pairs with 4, 2 and no texts, and one more image without a pair."""
    return make_regions(
        size=(3, 3),
        background_mask=[[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]],
    )


def change(regions, transform, fields=PAIRWISE):
    return replace(
        regions, **{name: transform(getattr(regions, name)) for name in fields}
    )


def test_weight_and_type(name, loss, regions):
    value = loss(regions)
    assert value.shape == ()
    assert value.dtype == torch.float32
    double = MODELS.build({**LOSSES[name], 'loss_weight': 2.0})
    torch.testing.assert_close(double(regions), 2 * value)
    assert 'loss' in loss.loss_name


def test_order_of_pairs_does_not_matter(loss, regions):
    turned = change(regions, lambda field: field[[2, 0, 1]])
    torch.testing.assert_close(loss(turned), loss(regions))


@pytest.mark.parametrize('filler', [0.99, -5.0, float('nan'), float('inf')])
def test_padding_does_not_matter(loss, regions, filler):
    value = loss(regions)
    value.backward()

    def wider(field):
        return torch.cat([field, field[:, :2]], 1)

    mask = wider(regions.background_mask)
    mask[:, -2:] = False
    tables = {
        field: wider(getattr(regions, field).detach())
        .masked_fill(~mask, filler)
        .requires_grad_()
        for field in SIMILARITIES[2:]
    }
    padded = replace(regions, background_mask=mask, **tables)
    other = loss(padded)
    torch.testing.assert_close(other, value)
    other.backward()
    for field in SIMILARITIES[2:]:
        grad = getattr(padded, field).grad
        expected = getattr(regions, field).grad
        if expected is not None:
            assert (grad[~mask] == 0).all()
            torch.testing.assert_close(grad[:, :4], expected)


def test_more_pairs(name, loss, regions):
    """Every pair once more, in images of its own: only a sum doubles."""
    twice = change(regions, lambda field: torch.cat([field, field]))
    shift = torch.tensor([0, 0, 0, 3, 3, 3], device=twice.images.device)
    twice = replace(
        twice,
        images=twice.images + shift,
        maps=torch.cat([regions.maps] * 2),
        present=torch.cat([regions.present] * 2),
    )
    factor = 2 if name == 'cbs_sum' else 1
    torch.testing.assert_close(loss(twice), factor * loss(regions))


EXTREMES = {
    'random': {},
    'best': dict(object_text=1.0, rest_text=-1.0, object_background=-1.0),
    'worst': dict(object_text=-1.0, rest_text=1.0, object_background=1.0),
    'ones': dict.fromkeys(SIMILARITIES, 1.0),
}


@pytest.mark.parametrize(
    'pairs',
    [
        [],
        [(1, 2)],
        [(b, k) for b in range(2) for k in range(3)],
    ],
    ids=['none', 'one', 'all'],
)
@pytest.mark.filterwarnings('ignore:Anomaly Detection')
@pytest.mark.parametrize('device', ['cpu'], indirect=True)
def test_finite(name, make_regions, pairs):
    """Also inside the backward pass, and at a very low temperature."""
    config = dict(LOSSES[name])
    if 'temperature' in config:
        config['temperature'] = 1e-3
    for extreme, texts, kept in product(EXTREMES, (0, 4), (False, True)):
        regions = make_regions(
            images=[b for b, _ in pairs],
            labels=[k for _, k in pairs],
            texts=texts,
            background_mask=kept,
            **EXTREMES[extreme],
        )
        with torch.autograd.detect_anomaly():
            value = MODELS.build(config)(regions)
            value.backward()
        assert value.isfinite()
        assert regions.maps.grad.isfinite().all()
        for field in SIMILARITIES:
            grad = getattr(regions, field).grad
            assert grad is None or grad.isfinite().all()
        if not pairs and not name.startswith('reg'):
            assert value == 0
            assert (regions.maps.grad == 0).all()


def test_autocast_and_half_precision(loss, regions, device):
    """Rounded cosines, but sums and logs in float32."""
    rounded = change(regions, lambda s: s.bfloat16().float(), SIMILARITIES)
    expected = loss(rounded)
    with torch.autocast(device.type, torch.bfloat16):
        value = loss(change(rounded, lambda s: s.bfloat16(), SIMILARITIES))
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


def test_nan_is_not_hidden(name, loss, regions):
    """A broken critic must show in the loss; areas do not ask it."""
    broken = change(regions, lambda s: s * float('nan'), SIMILARITIES)
    assert loss(broken).isnan() != name.startswith('reg')
