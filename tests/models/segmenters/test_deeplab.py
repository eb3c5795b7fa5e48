"""The geometry of DeepLab's heads."""

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS


def reach(head, height=61, width=53):
    """Places, relative to it, whose logits depend on one place."""
    head.eval()
    features = torch.zeros(1, head.in_channels, height, width)
    before = head((features,))
    y, x = height // 2, width // 2
    features[:, :, y, x] = 1
    changed = (head((features,)) != before).any(1)[0]
    return {(i - y, j - x) for i, j in changed.nonzero().tolist()}


def star(*dilations):
    steps = (-1, 0, 1)
    return {(i * d, j * d) for d in dilations for i in steps for j in steps}


def deeplab(version, **options):
    return MODELS.build(
        dict(
            type=f'DeepLabV{version}Head',
            in_channels=4,
            num_classes=3,
            in_index=0,
            **options,
        )
    )


def test_second_sees_four_stars():
    """No 1 x 1 branch, no image pooling, no convolution behind the sum."""
    assert reach(deeplab(2)) == star(6, 12, 18, 24)
    assert reach(deeplab(2, dilations=(1, 5))) == star(1, 5)


def test_second_is_the_sum_of_its_branches():
    head = deeplab(2, dilations=(2, 3)).eval()
    features = torch.randn(2, 4, 11, 7)
    expected = 0
    for branch, dilation in zip(head.conv_seg, (2, 3), strict=True):
        assert branch.weight.shape == (3, 4, 3, 3)
        assert branch.bias.shape == (3,)
        expected = expected + F.conv2d(
            features,
            branch.weight,
            branch.bias,
            padding=dilation,
            dilation=dilation,
        )
    assert torch.allclose(head((features,)), expected, atol=1e-6)
    assert sum(p.numel() for p in head.parameters()) == 2 * (4 * 9 + 1) * 3


def test_second_starts_small():
    """mmseg's initialisation finds all branches."""
    head = deeplab(2)
    head.init_weights()
    for branch in head.conv_seg:
        assert 0 < branch.weight.abs().max() < 0.06
        assert (branch.bias == 0).all()


def test_first_sees_one_star():
    norm = dict(channels=5, norm_cfg=dict(type='BN'))
    assert reach(deeplab(1, **norm)) == star(12)
    assert reach(deeplab(1, dilation=4, **norm)) == star(4)


def test_first_by_hand():
    """3 x 3 and 1 x 1 with norms, classifier with bias."""
    head = deeplab(1, channels=5, norm_cfg=dict(type='BN'))
    count = 9 * 4 * 5 + 2 * 5 + 5 * 5 + 2 * 5 + 5 * 3 + 3
    assert sum(p.numel() for p in head.parameters()) == count
    assert head.dropout.p == 0.5


@pytest.mark.parametrize('version', [1, 2])
def test_dropout_in_training_only(version):
    options = dict(channels=64) if version == 1 else {}
    head = deeplab(version, dropout_ratio=0.5, **options)
    features = (torch.randn(2, 4, 9, 14),)
    head.train()
    assert not torch.equal(head(features), head(features))
    head.eval()
    assert torch.equal(head(features), head(features))


@pytest.mark.parametrize('version', [1, 2])
def test_half_precision(version, device):
    options = dict(channels=5) if version == 1 else {}
    head = deeplab(version, **options).to(device).eval()
    features = torch.randn(2, 4, 9, 14, device=device)
    with torch.autocast(device.type, torch.bfloat16):
        logits = head((features,))
    assert logits.shape == (2, 3, 9, 14)
    assert torch.isfinite(logits).all()
