"""A linear layer over frozen features, worked out without the head."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.segmenters.linear import LinearHead


def test_one_map_is_one_product():
    head = LinearHead(in_channels=3, num_classes=4).eval()
    with torch.no_grad():
        head.conv_seg.weight.copy_(torch.randn(4, 3, 1, 1))
    features = torch.randn(2, 3, 5, 7)
    logits = head((torch.randn(2, 9, 1, 1), features))
    weight, bias = head.conv_seg.weight[..., 0, 0], head.conv_seg.bias
    naive = torch.einsum('kc,bchw->bkhw', weight, features)
    assert torch.allclose(logits, naive + bias[:, None, None], atol=1e-6)
    alone = torch.cat([head((features[i : i + 1],)) for i in range(2)])
    assert torch.allclose(logits, alone, atol=1e-6)


def test_several_maps_are_joined_and_normalised():
    """Statistics are those of each channel over the batch and positions."""
    head = LinearHead(
        in_channels=[2, 3],
        in_index=[0, 1],
        num_classes=4,
        norm_cfg=dict(type='BN'),
    ).train()
    maps = (torch.randn(2, 2, 4, 6) * 3 + 5, torch.randn(2, 3, 2, 3))
    logits = head(maps)
    joined = torch.cat(
        [maps[0], F.interpolate(maps[1], (4, 6), mode='bilinear')], 1
    )
    over = (0, 2, 3)
    centred = joined - joined.mean(over, keepdim=True)
    variance = joined.var(over, unbiased=False, keepdim=True)
    naive = head.conv_seg(centred / (variance + 1e-5).sqrt())
    assert torch.allclose(logits, naive, atol=1e-5)


def test_only_the_norm_and_the_layer_are_there():
    head = LinearHead(
        in_channels=[8, 8],
        in_index=[0, 1],
        num_classes=3,
        norm_cfg=dict(type='BN'),
    )
    assert sum(p.numel() for p in head.parameters()) == 2 * 16 + 3 * 16 + 3


@pytest.mark.parametrize('batch', [1, 2])
def test_has_a_gradient_for_one_image(batch):
    head = LinearHead(6, 3, norm_cfg=dict(type='BN')).train()
    head((torch.randn(batch, 6, 3, 2),)).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())
