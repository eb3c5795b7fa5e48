"""Segmentors that read a head's logits refuse what they would leave out."""

import pytest
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from small_resnet import small_resnet

PAIR, SCALES = 'CrossLabelSegmentor', 'MultiScaleSegmentor'
ENTROPY = dict(type='CrossEntropyLoss')
SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)


def build(kind, **head):
    plain = dict(type='FCNHead', in_channels=4, in_index=0, num_classes=5)
    if head.get('type') != 'CAMHead':
        plain['channels'] = 4
    return MODELS.build(
        ConfigDict(
            type=kind,
            backbone=small_resnet(),
            decode_head={**plain, **head},
            test_cfg=dict(mode='whole'),
        )
    )


@pytest.mark.parametrize('kind', [PAIR, SCALES])
@pytest.mark.parametrize(
    'head',
    [
        dict(type='CAMHead'),
        # Its forward gives three maps.
        dict(type='DAHead', pam_channels=4),
    ],
)
def test_heads_with_a_training_of_their_own(kind, head):
    """Their own losses, such as those of image labels, would be left out."""
    with pytest.raises(ValueError, match=f'leave out {head["type"]}'):
        build(kind, **head)


@pytest.mark.parametrize(
    ('head', 'message'),
    [
        (dict(loss_decode=dict(type='BalancedCELoss')), 'BalancedCELoss'),
        (
            dict(loss_decode=dict(type='SelfTargetLoss', loss=ENTROPY)),
            'SelfTargetLoss',
        ),
        (dict(loss_decode=[ENTROPY, dict(ENTROPY)]), 'the 2 losses'),
        (dict(loss_decode=dict(ENTROPY, class_weight=[1.0] * 5)), 'class_wei'),
        (dict(loss_decode=dict(ENTROPY, loss_weight=0.4)), 'loss_weight=0.4'),
        (dict(loss_decode=SIGMOID), 'use_sigmoid'),
        (
            dict(sampler=dict(type='OHEMPixelSampler')),
            'OHEMPixelSampler would not .* .*sampler=None',
        ),
        (
            dict(num_classes=2, out_channels=1, loss_decode=SIGMOID),
            'out_channels=1 for num_classes=2',
        ),
    ],
)
def test_a_loss_that_would_not_be_used(head, message):
    with pytest.raises(ValueError, match=message):
        build(PAIR, **head)
    build('EncoderDecoder', **head)


@pytest.mark.parametrize('kind', [PAIR, SCALES])
@pytest.mark.parametrize(
    'loss', [ENTROPY, [ENTROPY], dict(ENTROPY, avg_non_ignore=True)]
)
def test_plain_heads(kind, loss):
    assert build(kind, loss_decode=loss).decode_head.num_classes == 5
    build(kind, type='ASPPHead', dilations=(1, 2), loss_decode=loss)


def test_other_losses_at_several_scales():
    """Each scale has the losses of the head."""
    build(SCALES, loss_decode=[dict(type='BalancedCELoss'), ENTROPY])
