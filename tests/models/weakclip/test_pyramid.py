import pytest
import torch

from mmseg_weakclip.models.weakclip.pyramid import PyramidAdapter


def make(device, channels=8):
    torch.manual_seed(0)
    return PyramidAdapter(channels, norm_cfg=dict(type='BN')).to(device)


def test_strides(device):
    """Patches of 16: a 512 crop has 32 x 32, and levels of 4 to 32."""
    maps = [torch.randn(2, 8, 32, 20, device=device) for _ in range(4)]
    sizes = [tuple(x.shape[2:]) for x in make(device)(maps)]
    assert sizes == [(128, 80), (64, 40), (32, 20), (16, 10)]


def test_odd_grid_is_floored(device):
    maps = [torch.randn(1, 8, 15, 7, device=device) for _ in range(4)]
    assert make(device)(maps)[3].shape == (1, 8, 7, 3)


def test_levels_are_normalised_over_all_values(device):
    """Scale and shift of a map don't matter to any level."""
    adapter = make(device)
    maps = [torch.randn(2, 8, 6, 4, device=device) for _ in range(4)]
    moved = [3 * x + 5 for x in maps]
    for ours, theirs in zip(adapter(maps), adapter(moved)):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_coarsest_level_by_hand(device):
    x = torch.arange(4.0, device=device).view(1, 1, 2, 2)
    level = make(device, channels=1)([x] * 4)[3]
    expected = (3 - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt()
    assert torch.allclose(level, expected)


def test_bad_input(device):
    adapter = make(device)
    with pytest.raises(ValueError, match='takes 4 maps, got 3'):
        adapter([torch.randn(1, 8, 4, 4, device=device)] * 3)
    with pytest.raises(ValueError, match=r'\(1, 4\) patches'):
        adapter([torch.randn(1, 8, 1, 4, device=device)] * 4)
