"""Outlines of super-classes from a second model's features."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.excel.pseudo_labels import scatter_maps
from mmseg_weakclip.models.excel.super_classes import (
    SuperClassBoundary,
    resembling_maps,
    super_dice,
)

GROUPS = dict(vehicle=(1, 2), animal=(3,))


@pytest.fixture
def make_boundary(device, text_cfg):
    def make(**options):
        text = dict(text_cfg, names=tuple(GROUPS))
        options = {**dict(groups=GROUPS, text=text, min_groups=1), **options}
        return SuperClassBoundary(4, **options).to(device)

    return make


@pytest.fixture
def case(device, make_features):
    """Logits of four classes, tokens, and features of a finer grid."""
    tokens = make_features()[-1]
    torch.manual_seed(5)
    logits = torch.randn(2, 4, *tokens.grid, device=device)
    features = torch.randn(2, 6, 8, 8, device=device)
    return logits, tokens, features


def test_resembling_by_hand(device):
    """Two kinds of features; a map on one finds all of its kind."""
    features = torch.zeros(1, 2, 2, 3, device=device)
    features[0, 0, 0], features[0, 1, 1] = 2.0, 5.0
    maps = torch.zeros(1, 2, 2, 3, device=device)
    maps[0, 0, 0, 0] = 0.4
    maps[0, 1] = torch.tensor([[1.0, 0, 0], [0.4, 0, 0]])
    found = resembling_maps(maps, features)
    assert found[0, 0].tolist() == [[1, 1, 1], [0, 0, 0]]
    # 1 x (2, 0) + .4 x (0, 5) is (2, 2), at 45 degrees to both.
    assert torch.allclose(found[0, 1], torch.tensor(0.5).sqrt().to(found))
    nothing = resembling_maps(torch.zeros_like(maps), features)
    assert (nothing == 0).all()


def test_dice_by_hand():
    probabilities = torch.tensor([[[[0.5, 1.0]], [[0.5, 0.0]]]])
    targets = torch.tensor([[[[0.0, 1.0]], [[1.0, 0.0]]]])
    both = torch.tensor([[True, True]])
    first, second = 2 * 1 / 2.5, 2 * 0.5 / 1.5
    found = super_dice(probabilities, targets, both)
    assert found.item() == pytest.approx(1 - (first + second) / 2)
    one = super_dice(probabilities, targets, torch.tensor([[True, False]]))
    assert one.item() == pytest.approx(1 - first)
    none = super_dice(probabilities, targets, torch.tensor([[False, False]]))
    assert none.item() == 1


@pytest.mark.parametrize('min_groups', [1, 2])
def test_is_the_definition(make_boundary, case, min_groups):
    boundary = make_boundary(min_groups=min_groups)
    logits, tokens, features = case
    # Only vehicles are predicted in the second image.
    logits[1, 3] = -9
    logits.requires_grad_()
    labels, own = [(0, 2), (1,)], [(0, 1), (0,)]
    found = boundary(logits, tokens, features, labels)
    maps, ids = boundary.class_maps(tokens, boundary.text(), own)
    cams = F.interpolate(scatter_maps(maps, ids, 2), (8, 8), mode='bilinear')
    target = F.interpolate(
        resembling_maps(cams, features), tokens.grid, mode='bilinear'
    )
    p = logits.softmax(1)
    grouped = torch.stack([p[:, 1] + p[:, 2], p[:, 3]], 1)
    present = torch.tensor([[True, True], [True, False]]).to(logits.device)
    losses = super_dice(grouped, target, present)
    counted = losses if min_groups == 1 else losses[:1]
    assert torch.allclose(found, 0.6 * counted.mean(), atol=1e-5)
    found.backward()
    assert (logits.grad[1].abs().sum() > 0) == (min_groups == 1)


def test_nothing_to_count(make_boundary, case):
    """Only background is predicted: a zero that a backward pass takes."""
    boundary = make_boundary()
    logits, tokens, features = case
    logits[:, 0] = 50
    logits.requires_grad_()
    found = boundary(logits, tokens, features, [(0, 2), (1,)])
    assert found == 0
    found.backward()
    assert (logits.grad == 0).all()


def test_padding_is_not_seen(make_boundary, case):
    """Nothing in the padding changes the loss, and none reaches it."""
    boundary = make_boundary(min_groups=2)
    logits, tokens, features = case
    ignored = torch.zeros(logits.shape[0], *tokens.grid, dtype=torch.bool)
    ignored = ignored.to(logits.device)
    ignored[:, :, tokens.grid[1] // 2 :] = True
    labels = [(0, 2), (1,)]
    logits.requires_grad_()
    found = boundary(logits, tokens, features, labels, ignored)
    found.backward()
    padding = ignored[:, None].expand_as(logits)
    assert found > 0
    assert (logits.grad[padding] == 0).all()
    assert (logits.grad[~padding] != 0).any()
    other = logits.detach().where(~padding, 9 * torch.randn_like(logits))
    again = boundary(other, tokens, features, labels, ignored)
    torch.testing.assert_close(found.detach(), again)


def test_super_classes_of_the_padding_do_not_occur(make_boundary, case):
    boundary = make_boundary(min_groups=2)
    logits, tokens, features = case
    ignored = torch.zeros(logits.shape[0], *tokens.grid, dtype=torch.bool)
    ignored = ignored.to(logits.device)
    ignored[:, :, -1] = True
    logits[:, 3] = -9
    logits[:, 3, :, -1] = 9
    labels = [(0, 2), (1,)]
    assert boundary(logits, tokens, features, labels) > 0
    assert boundary(logits, tokens, features, labels, ignored) == 0


def test_only_features_inside_are_pooled(make_boundary, case):
    """Features of the padding have no say in targets away from the edge."""
    boundary = make_boundary()
    logits, tokens, _ = case
    inside = torch.ones_like(logits[:, :1])
    inside[..., tokens.grid[1] // 2 :] = 0
    torch.manual_seed(7)
    features = torch.randn(2, 6, *tokens.grid, device=logits.device)
    changed = features.where(inside > 0, torch.randn_like(features))
    found, again = (
        boundary._targets(tokens, maps, [(0, 1), (0,)], inside)
        for maps in (features, changed)
    )
    torch.testing.assert_close(inside * found, inside * again)


def test_images_without_a_target_are_not_counted(make_boundary, case):
    """An image without labels, or all padding, does not weaken the others."""
    boundary = make_boundary()
    logits, tokens, features = case
    ignored = torch.zeros(logits.shape[0], *tokens.grid, dtype=torch.bool)
    ignored = ignored.to(logits.device)
    maps, ids = boundary.class_maps(tokens, boundary.text(), [(0, 1), ()])
    targets = resembling_maps(
        F.interpolate(scatter_maps(maps, ids, 2), (8, 8), mode='bilinear'),
        features,
    )
    targets = F.interpolate(targets, tokens.grid, mode='bilinear')
    p = logits.softmax(1)
    grouped = torch.stack([p[:, 1] + p[:, 2], p[:, 3]], 1)
    both = torch.ones(1, 2, dtype=torch.bool, device=logits.device)
    expected = 0.6 * super_dice(grouped[:1], targets[:1], both)[0]
    found = boundary(logits, tokens, features, [(0, 2), ()])
    assert torch.allclose(found, expected, atol=1e-5)
    ignored[1] = True
    found = boundary(logits, tokens, features, [(0, 2), (1,)], ignored)
    assert torch.allclose(found, expected, atol=1e-5)


def test_half_precision(make_boundary, case, device):
    boundary = make_boundary()
    logits, tokens, features = case
    with torch.autocast(device.type, torch.bfloat16):
        found = boundary(logits.bfloat16(), tokens, features, [(0,), (2,)])
    assert found.dtype == torch.float32
    assert found.isfinite()


@pytest.mark.parametrize(
    ('groups', 'message'),
    [
        (dict(a=(1, 2), b=(4,)), r"'b' has the class ids \[4\], .* 1 to 3"),
        (dict(a=(1, 2), b=(2, 3)), 'class id 2 is in 2 super-classes'),
        (dict(a=(1,), b=(2,)), 'class id 3 is in 0 super-classes'),
    ],
)
def test_groups_that_are_no_partition(make_boundary, groups, message):
    with pytest.raises(ValueError, match=message):
        make_boundary(groups=groups)


@pytest.mark.parametrize(
    ('groups', 'min_groups', 'message'),
    [
        (dict(), 2, 'groups is empty'),
        (dict(), 0, 'groups is empty'),
        (dict(all=(1, 2, 3)), 2, 'min_groups=2 must be from 0 to 1'),
        (dict(all=(1, 2, 3)), -1, 'min_groups=-1 must be from 0 to 1'),
    ],
)
def test_groups_and_their_least_number(
    make_boundary, groups, min_groups, message
):
    """No image would be counted, and the loss be zero to the end."""
    with pytest.raises(ValueError, match=message):
        make_boundary(groups=groups, min_groups=min_groups)


def test_names_that_are_not_the_groups(make_boundary, case, text_cfg):
    boundary = make_boundary(text=dict(text_cfg, names=('vehicle',)))
    logits, tokens, features = case
    with pytest.raises(ValueError, match='SuperClassBoundary'):
        boundary(logits, tokens, features, [(0,), (2,)])
