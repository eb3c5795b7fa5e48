import copy

import pytest
import torch
from mmseg.models.necks import FPN
from mmseg.models.utils import resize

from mmseg_weakclip.models.weakclip.pyramid import PyramidAdapter
from mmseg_weakclip.models.weakclip.score_fpn import DeferredUpsample, ScoreFPN

WIDTH, CLASSES = 8, 3
SHAPES = dict(in_channels=[WIDTH + CLASSES] * 4, out_channels=16, num_outs=4)


def parts(device):
    """Adapter and neck, and inputs that are not square and of odd sides."""
    torch.manual_seed(0)
    norm = dict(type='BN')
    adapter = PyramidAdapter(WIDTH, norm_cfg=norm, deferred=True).to(device)
    # A norm over the batch would take the gradient of the bias before it.
    adapter.eval()
    neck = ScoreFPN(**SHAPES).to(device)
    maps = [torch.randn(2, WIDTH, 5, 7, device=device) for _ in range(4)]
    score = torch.randn(2, CLASSES, 5, 7, device=device)
    return adapter, neck, maps, score


def stock(adapter, neck, maps, score):
    """mmseg's FPN on the concatenations, all levels enlarged before."""
    whole = copy.deepcopy(adapter)
    whole.deferred = False
    other = FPN(**SHAPES).to(score.device)
    other.load_state_dict(neck.state_dict())
    levels = [
        torch.cat(
            [
                level,
                resize(
                    score,
                    level.shape[2:],
                    mode='bilinear',
                    align_corners=True,
                    warning=False,
                ).to(level.dtype),
            ],
            1,
        )
        for level in whole(maps)
    ]
    return (whole, other), other(levels)


def test_equals_the_stock_fpn(device):
    adapter, neck, maps, score = parts(device)
    leaves = [x.requires_grad_() for x in (*maps, score)]
    (whole, other), expected = stock(adapter, neck, maps, score)
    sum(x.square().sum() for x in expected).backward()
    theirs = [x.grad.clone() for x in leaves]
    for leaf in leaves:
        leaf.grad = None
    found = neck(adapter(maps), score)
    sum(x.square().sum() for x in found).backward()
    assert [x.shape for x in found] == [x.shape for x in expected]
    for ours, other_one in zip(found, expected):
        assert torch.allclose(ours, other_one, atol=1e-5)
    for leaf, gradient in zip(leaves, theirs):
        assert torch.allclose(leaf.grad, gradient, rtol=1e-4, atol=1e-4)
    for one, two in ((adapter, whole), (neck, other)):
        for (name, p), q in zip(one.named_parameters(), two.parameters()):
            scale = q.grad.abs().max()
            assert (p.grad - q.grad).abs().max() <= 1e-5 * scale, name


def test_under_autocast(device):
    adapter, neck, maps, score = parts(device)
    with torch.no_grad():
        _, expected = stock(adapter, neck, maps, score)
        with torch.autocast(device.type, torch.bfloat16):
            found = neck(adapter(maps), score)
    for ours, theirs in zip(found, expected):
        assert ours.dtype == torch.bfloat16
        difference = (ours.float() - theirs).abs().max()
        assert difference < 0.02 * theirs.abs().max()


def test_the_large_level_is_never_made(device):
    """Two maps are deferred, at half of their sides."""
    adapter, _, maps, _ = parts(device)
    levels = adapter(maps)
    kinds = [isinstance(level, DeferredUpsample) for level in levels]
    assert kinds == [True, True, False, False]
    assert levels[0].maps.shape == (2, WIDTH, 10, 14)
    assert levels[0].size == (20, 28)
    assert levels[0].expand().shape == (2, WIDTH, 20, 28)


def test_one_image_is_as_in_a_batch(device):
    adapter, neck, maps, score = parts(device)
    together = neck(adapter(maps), score)
    alone = neck(adapter([x[1:] for x in maps]), score[1:])
    for one, many in zip(alone, together):
        assert torch.allclose(one[0], many[1], atol=1e-5)


def test_bad_arguments():
    for wrong in (
        dict(norm_cfg=dict(type='BN')),
        dict(num_outs=5),
        dict(start_level=1, num_outs=3),
    ):
        with pytest.raises(ValueError, match='ScoreFPN has plain'):
            ScoreFPN(**{**SHAPES, **wrong})
    neck = ScoreFPN(**SHAPES)
    with pytest.raises(ValueError, match='has 4 levels, got 1'):
        neck([torch.rand(1, WIDTH, 4, 4)], torch.rand(1, CLASSES, 4, 4))
