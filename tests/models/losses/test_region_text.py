"""ObjectTextLoss and BackgroundTextLoss."""

import math

import pytest
import torch
from mmengine import Config
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses.region_text import (
    BackgroundTextLoss,
    ObjectTextLoss,
)


def test_by_hand(make_regions):
    regions = make_regions(
        object_text=[0.5, 0.25, 1.0], rest_text=[0.5, 0.75, 0.0]
    )
    # 1/2, 1/4 and 1 in both: logs of 2, 4 and 1.
    expected = (math.log(2) + math.log(4)) / 3
    assert ObjectTextLoss()(regions).item() == pytest.approx(expected)
    assert BackgroundTextLoss()(regions).item() == pytest.approx(expected)


def test_published_constants(make_regions):
    """Weights and cosines of CLIMS on VOC."""
    regions = make_regions(object_text=0.28, rest_text=0.24)
    loss = ObjectTextLoss(loss_weight=10.0)(regions)
    assert loss.item() == pytest.approx(12.7, abs=0.05)
    loss = BackgroundTextLoss(loss_weight=24.0)(regions)
    assert loss.item() == pytest.approx(6.6, abs=0.05)
    grads = torch.autograd.grad(loss, regions.rest_text)[0]
    assert grads.sum().item() == pytest.approx(24 / 0.76)


def test_optimum(make_regions):
    """Falling in the object's cosine to 0 at 1, rising in the rest's."""
    cosines = torch.linspace(-1, 1, 41).tolist()
    regions = [make_regions(object_text=s, rest_text=s) for s in cosines]
    values = torch.stack([ObjectTextLoss()(r) for r in regions])
    assert (values.diff() < 0).all()
    assert values[-1].item() == pytest.approx(0, abs=1e-6)
    values = torch.stack([BackgroundTextLoss()(r) for r in regions])
    assert (values.diff() > 0).all()
    assert values[20].item() == pytest.approx(0, abs=1e-6)
    assert values[0].item() == pytest.approx(-math.log(2))


@pytest.mark.parametrize(
    ('cls', 'field', 'sign'),
    [
        (ObjectTextLoss, 'object_text', -1),
        (BackgroundTextLoss, 'rest_text', 1),
    ],
)
def test_negative_cosines(make_regions, cls, field, sign):
    """A push where the published clamp gives none."""
    regions = make_regions(**{field: -0.05})
    cosines = getattr(regions, field)
    (grad,) = torch.autograd.grad(cls()(regions), cosines)
    assert (grad * sign > 0).all()
    published = cls(tangent_below=None)(regions)
    assert published.isfinite()
    (grad,) = torch.autograd.grad(published, cosines)
    assert (grad == 0).all()


@pytest.mark.parametrize('cls', [ObjectTextLoss, BackgroundTextLoss])
def test_class_weights_multiply_pairs(make_regions, cls):
    regions = make_regions(labels=(0, 2, 2), images=(0, 0, 1))
    first = cls(class_weights={2: 0.0})(regions)
    others = cls(class_weights={0: 0.0})(regions)
    torch.testing.assert_close(first + others, cls()(regions))
    weighted = cls(class_weights={2: 3.0})(regions)
    torch.testing.assert_close(first + 3 * others, weighted)


def test_config_with_integer_keys(tmp_path):
    loss = dict(type='ObjectTextLoss', class_weights={1: 3.0})
    Config(dict(loss=loss)).dump(tmp_path / 'config.py')
    loss = MODELS.build(Config.fromfile(tmp_path / 'config.py').loss)
    assert loss.class_weights == {1: 3.0}
    assert loss.loss_name == 'loss_otm'
    loss = MODELS.build(dict(type='BackgroundTextLoss'))
    assert loss.loss_name == 'loss_btm'


def test_bad_values_are_named(make_regions):
    with pytest.raises(ValueError, match='tangent_below=0'):
        ObjectTextLoss(tangent_below=0)
    with pytest.raises(ValueError, match=r'eps=0\.5'):
        BackgroundTextLoss(eps=0.5)
    for bad in ({'sofa': 3.0}, {-1: 3.0}, {2: -3.0}, {2: float('nan')}):
        with pytest.raises(ValueError, match=str(next(iter(bad)))):
            ObjectTextLoss(class_weights=bad)
    with pytest.raises(ValueError, match=r'\[3\], but the maps have 0\.\.2'):
        ObjectTextLoss(class_weights={3: 2.0})(make_regions())
