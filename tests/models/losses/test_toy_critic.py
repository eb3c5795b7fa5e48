"""Where the losses push a map, with a critic that is linear in it.

A row of an object, of the background that usually comes with it, and of
anything else. The critic finds the object's text in the object, and some of
it in the usual background, as CLIP finds trains in railways.
"""

from dataclasses import replace

import pytest
import torch
from mmseg.registry import MODELS
from real_devices import on_real_devices

OBJECT, USUAL, OTHER = 0, 1, 2
AREAS = torch.tensor([8 * [OBJECT] + 8 * [USUAL] + 16 * [OTHER]])
# What a pixel adds to the cosine of its region and a text.
CLASS_TEXT = {OBJECT: 1.2, USUAL: 0.3, OTHER: -0.2}
BACKGROUND_TEXT = {OBJECT: -0.3, USUAL: 1.2, OTHER: 0.1}


@pytest.fixture
def criticise(make_regions, device):
    """A map of one image and class as RegionSimilarities."""

    def cosine(region, gains, base):
        gain = torch.zeros(AREAS.shape, device=device)
        for area, value in gains.items():
            gain[AREAS.to(device) == area] = value
        return base + (region * gain).mean(dim=(1, 2))

    def criticise(maps, base=0.1):
        inside, rest = maps[0], 1 - maps[0]
        regions = make_regions(images=[0], labels=[0], texts=1, size=(1, 1))
        return replace(
            regions,
            object_text=cosine(inside, CLASS_TEXT, base),
            rest_text=cosine(rest, CLASS_TEXT, base),
            object_background=cosine(inside, BACKGROUND_TEXT, base)[:, None],
            rest_background=cosine(rest, BACKGROUND_TEXT, base)[:, None],
            maps=maps,
        )

    return criticise


def build(name, **options):
    return MODELS.build(dict(type=name, **options))


@pytest.mark.parametrize(
    ('loss', 'signs'),
    [
        (dict(name='ObjectTextLoss'), (-1, -1, 1)),
        (dict(name='BackgroundTextLoss'), (-1, -1, 1)),
        (dict(name='BackgroundSuppressionLoss', threshold=0.2), (-1, 1, 1)),
        (dict(name='ActivationAreaLoss'), (1, 1, 1)),
        (dict(name='InfoNCERegionLoss', form='eq9'), (-1, 1, 1)),
        (dict(name='InfoNCERegionLoss', form='per_class'), (-1, 1, 1)),
        (dict(name='InfoNCERegionLoss', form='frc_brc'), (-1, 1, 1)),
    ],
)
def test_gradient_on_the_map(criticise, device, loss, signs):
    """Its sign in the object, the usual background and the other."""
    maps = torch.full((1, 1, *AREAS.shape), 0.5, device=device)
    maps.requires_grad_()
    build(**loss)(criticise(maps)).backward()
    expected = torch.tensor(signs, device=device)[AREAS.to(device)]
    assert torch.equal(maps.grad[0, 0].sign(), expected.float())


def descend(criticise, device, losses):
    """Mean activation of object, usual background and other."""
    logits = torch.zeros(1, 1, *AREAS.shape, device=device)
    logits.requires_grad_()
    optimizer = torch.optim.SGD([logits], lr=5.0)
    for _ in range(100):
        optimizer.zero_grad()
        regions = criticise(logits.sigmoid())
        sum(loss(regions) for loss in losses).backward()
        optimizer.step()
    maps = logits.sigmoid()[0, 0]
    return [maps[AREAS.to(device) == area].mean().item() for area in range(3)]


@on_real_devices
def test_suppression_keeps_the_usual_background_out(criticise, device):
    losses = [
        build('ObjectTextLoss', loss_weight=10.0),
        build('BackgroundTextLoss', loss_weight=24.0),
        build('ActivationAreaLoss', loss_weight=0.2),
    ]
    in_object, usual, other = descend(criticise, device, losses)
    assert min(in_object, usual) > 0.9
    assert other < 0.1
    losses.append(
        build('BackgroundSuppressionLoss', threshold=None, loss_weight=29.5)
    )
    in_object, usual, other = descend(criticise, device, losses)
    assert in_object > 0.9
    assert max(usual, other) < 0.1


@on_real_devices
@pytest.mark.parametrize('form', ['eq9', 'per_class', 'frc_brc'])
def test_contrast_finds_the_object(criticise, device, form):
    losses = [
        build('InfoNCERegionLoss', form=form, loss_weight=10.0),
        build('ActivationAreaLoss', loss_weight=0.2),
    ]
    in_object, usual, other = descend(criticise, device, losses)
    assert in_object > 0.9
    assert max(usual, other) < 0.1


@pytest.mark.parametrize(('tangent_below', 'sign'), [(0.1, -1), (None, 0)])
def test_a_map_that_misses_the_object(criticise, device, tangent_below, sign):
    """Its cosine is negative, where the published clamp has no gradient."""
    logits = torch.where(AREAS == OTHER, 4.0, -4.0).to(device)[None, None]
    logits.requires_grad_()
    regions = criticise(logits.sigmoid(), base=-0.1)
    assert regions.object_text < 0
    build('ObjectTextLoss', tangent_below=tangent_below)(regions).backward()
    pushed = logits.grad[0, 0][AREAS.to(device) == OBJECT]
    assert (pushed.sign() == sign).all()
