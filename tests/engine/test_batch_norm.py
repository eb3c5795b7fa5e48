import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.common.resources import read_config
from mmseg_weakclip.engine.batch_norm import check_batch_norm

BN, SYNC = dict(type='BN'), dict(type='SyncBN')


def model(kind, norm, **kwargs):
    return dict(decode_head=dict(type=kind, norm_cfg=norm, **kwargs))


@pytest.mark.parametrize(
    ('kind', 'kwargs'),
    [
        ('ASPPHead', {}),
        ('mmseg.DepthwiseSeparableASPPHead', {}),
        ('PSPHead', dict(pool_scales=(1, 2))),
        ('UPerHead', {}),
    ],
)
def test_one_value_per_channel(kind, kwargs):
    with pytest.raises(ValueError, match=r'batch of 1 .*two images'):
        check_batch_norm(model(kind, BN, **kwargs), 1)
    check_batch_norm(model(kind, BN, **kwargs), 2)
    # Two processes see two images, if they tell each other.
    check_batch_norm(model(kind, SYNC, **kwargs), 1, processes=2)
    with pytest.raises(ValueError, match='batch of 1'):
        check_batch_norm(model(kind, SYNC, **kwargs), 1, processes=1)
    with pytest.raises(ValueError, match='batch of 1'):
        check_batch_norm(model(kind, BN, **kwargs), 1, processes=2)


def test_what_has_no_such_features():
    check_batch_norm(model('FCNHead', BN), 1)
    check_batch_norm(model('PSPHead', BN, pool_scales=(2, 3)), 1)
    check_batch_norm(model('ASPPHead', dict(type='GN', num_groups=1)), 1)


@pytest.mark.parametrize(
    'head', ['PSPHead', 'ASPPHead', 'DepthwiseSeparableASPPHead']
)
def test_mmseg_fails_where_the_check_does(head):
    """So that a change of mmseg's heads is noticed."""
    options = dict(
        type=head, in_channels=8, channels=4, num_classes=2, norm_cfg=BN
    )
    if head.startswith('Depthwise'):
        options.update(c1_in_channels=0, c1_channels=0)
    built = MODELS.build(options).train()
    features = [torch.randn(1, 8, 8, 8)]
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        built(features)
    built([torch.randn(2, 8, 8, 8)])


def test_published_configs():
    for name in ('deeplabv3plus_r50_4xb4-20k_voc12-512x512',
                 'upernet_deit-s16_4xb4-20k_voc12-512x512'):  # fmt: skip
        cfg = read_config(f'segmenters/{name}')
        with pytest.raises(ValueError, match='SyncBN'):
            check_batch_norm(cfg.model, 1)
    cfg = read_config('segmenters/segformer_mit-b2_4xb4-20k_voc12-512x512')
    check_batch_norm(cfg.model, 1)
