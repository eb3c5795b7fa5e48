import math

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses.superpixel_kl import (
    SuperpixelKLLoss,
    superpixel_mean,
)

PUBLISHED = dict(source='hard', softmax_again=True, reduction='elements')
# With detach='assignment'.
NO_GRADIENT = (dict(symmetric=False), dict(source='hard', symmetric=False))


def one_hot(groups, count):
    """Group of each patch, (B, N), to (B, G, N)."""
    hard = torch.nn.functional.one_hot(groups, count)
    return hard.transpose(1, 2).float()


def naive(
    hard,
    soft,
    superpixels,
    source='soft',
    softmax_again=False,
    detach='none',
    symmetric=True,
    reduction='tokens',
):
    """The formula with plain logarithms, patch by patch."""

    def kl(p, q):
        if source == 'hard' and not softmax_again:
            # No entropy; a group of no patch is one of half a patch.
            q = q.detach().clamp(min=0.5 / superpixels.shape[1])
            return sum(-a * b.log() for a, b in zip(p, q))
        return sum(a * (a / b).log() for a, b in zip(p, q) if a > 0)

    values = hard if source == 'hard' else soft
    losses = []
    for b, i in (superpixels >= 0).nonzero().tolist():
        own = superpixels[b] == superpixels[b, i]
        patch, mean = values[b, :, i], values[b][:, own].mean(1)
        if softmax_again:
            patch, mean = patch.softmax(0), mean.softmax(0)
        patch = patch.detach() if detach == 'assignment' else patch
        mean = mean.detach() if detach == 'mean' else mean
        loss = kl(patch, mean)
        losses.append((loss + kl(mean, patch)) / 2 if symmetric else loss)
    total = sum(losses) / len(losses)
    return total / hard.shape[1] if reduction == 'elements' else total


def test_patches_without_a_superpixel_count_nowhere(
    make_grouping, straight_through
):
    logits, ids = make_grouping()
    ids[:, 0] = -1
    hard, soft = straight_through(logits)
    other = soft.detach().clone()
    other[..., 0] = other[..., 0].roll(1, 1)
    loss = SuperpixelKLLoss()
    value = loss(hard, soft, ids)
    assert torch.equal(loss(hard, other, ids), value)
    value.backward()
    assert (logits.grad[..., 0] == 0).all()
    assert (logits.grad[..., 1:] != 0).any()
    # A patch alone in its superpixel counts, with a loss of zero.
    ids[:, 0] = 99
    counted = (ids >= 0).sum()
    torch.testing.assert_close(
        loss(hard, soft, ids), value * (counted - 2) / counted
    )


@pytest.mark.parametrize('detach', ['none', 'mean', 'assignment'])
def test_value_and_gradient_are_the_formulas(
    kl_form, detach, make_grouping, straight_through
):
    if detach == 'assignment' and kl_form in NO_GRADIENT:
        with pytest.raises(ValueError, match='no gradient.*set detach'):
            SuperpixelKLLoss(detach=detach, **kl_form)
        return
    logits, ids = make_grouping()
    value = SuperpixelKLLoss(detach=detach, loss_weight=3.0, **kl_form)(
        *straight_through(logits), ids
    )
    hard, soft = straight_through(logits)
    expected = 3 * naive(hard, soft, ids, detach=detach, **kl_form)
    torch.testing.assert_close(value, expected)
    (found,) = torch.autograd.grad(value, logits)
    (gradient,) = torch.autograd.grad(expected, logits)
    largest = gradient.abs().max().item()
    assert largest > 1e-5
    torch.testing.assert_close(found, gradient, atol=1e-4 * largest, rtol=0)


def test_detaching_leaves_the_other_gradient(make_grouping, straight_through):
    """The two halves add up to the whole."""
    logits, ids = make_grouping()
    gradients = {}
    for detach in ('none', 'mean', 'assignment'):
        value = SuperpixelKLLoss(detach=detach)(*straight_through(logits), ids)
        (gradients[detach],) = torch.autograd.grad(value, logits)
    torch.testing.assert_close(
        gradients['mean'] + gradients['assignment'], gradients['none']
    )
    assert not torch.allclose(gradients['mean'], gradients['assignment'])


def two_patches(device):
    """Of one superpixel: (0.9, 0.1) and (0.3, 0.7), mean (0.6, 0.4)."""
    soft = torch.tensor([[[0.9, 0.3], [0.1, 0.7]]], device=device)
    ids = torch.tensor([[8, 8]], device=device)
    return (soft > 0.5).float(), soft, ids


def test_two_patches_by_hand(device):
    hard, soft, ids = two_patches(device)
    one_way = (
        0.9 * math.log(0.9 / 0.6)
        + 0.1 * math.log(0.1 / 0.4)
        + 0.3 * math.log(0.3 / 0.6)
        + 0.7 * math.log(0.7 / 0.4)
    ) / 2
    other_way = (
        0.6 * math.log(0.6 / 0.9)
        + 0.4 * math.log(0.4 / 0.1)
        + 0.6 * math.log(0.6 / 0.3)
        + 0.4 * math.log(0.4 / 0.7)
    ) / 2
    for form, expected in (
        (dict(), (one_way + other_way) / 2),
        (dict(symmetric=False), one_way),
        (dict(reduction='elements'), (one_way + other_way) / 4),
        # One-hots of a mean (0.5, 0.5).
        (dict(source='hard', symmetric=False), math.log(2)),
    ):
        value = SuperpixelKLLoss(**form)(hard, soft, ids)
        assert value.item() == pytest.approx(expected, rel=1e-5), form


def test_published_form_by_hand(device):
    """The second softmax: (e, 1) / (e + 1) against (0.5, 0.5)."""
    p = math.e / (math.e + 1)
    one_way = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    other_way = -(math.log(2 * p) + math.log(2 * (1 - p))) / 2
    value = SuperpixelKLLoss(**PUBLISHED)(*two_patches(device))
    assert value.item() == pytest.approx((one_way + other_way) / 4, rel=1e-5)


def test_zero_means_constant_superpixels(device, kl_form, straight_through):
    """Groups of superpixels: zero; one patch astray: above zero."""
    superpixels = torch.tensor([[0, 1, 1, 2, 0, 2, 1], [1, 1, 1, 0, 0, 0, 0]])
    logits = 3 * torch.randn(2, 4, 3)
    logits = logits.gather(2, superpixels[:, None].expand(-1, 4, -1))
    superpixels = superpixels.to(device)
    loss = SuperpixelKLLoss(**kl_form)

    def value():
        return loss(*straight_through(logits.to(device)), superpixels).item()

    assert value() == pytest.approx(0, abs=1e-6)
    logits[0, :, 2] = logits[0, :, 2].roll(1)
    assert value() > 1e-3


def test_batch_is_the_mean_of_its_images(
    device, kl_form, make_grouping, straight_through
):
    logits, _ = make_grouping(batch=3)
    ids = torch.randint(4, (3, 11), device=device)
    hard, soft = straight_through(logits)
    loss = SuperpixelKLLoss(**kl_form)
    alone = [
        loss(hard[b : b + 1], soft[b : b + 1], ids[b : b + 1])
        for b in range(3)
    ]
    torch.testing.assert_close(loss(hard, soft, ids), sum(alone) / 3)


def test_published_values_hardly_differ():
    """Eight groups: e / (e + 7) and 1 / (e + 7) are all there is."""
    hard = one_hot(torch.arange(8).repeat(1, 25)[:, :196], 8)
    mean = superpixel_mean(hard, torch.randint(35, (1, 196)))
    for values in (hard, mean):
        again = values.softmax(dim=1)
        assert again.min() > 0.1028
        assert again.max() < 0.2798
    assert hard.softmax(dim=1).min().item() == pytest.approx(0.1029, abs=1e-4)
    assert hard.softmax(dim=1).max().item() == pytest.approx(0.2797, abs=1e-4)


@pytest.mark.parametrize(
    ('superpixels', 'expected'), [(27, 0.0083), (42, 0.0076), (1, 0.0097)]
)
def test_published_form_hardly_sees_chaos(device, superpixels, expected):
    """Random groups of 14 x 14 patches, as many superpixels as in photos.

    One superpixel is the bound.
    """
    hard = one_hot(torch.randint(8, (32, 196)), 8).to(device)
    ids = torch.randint(superpixels, (32, 196)).to(device)
    value = SuperpixelKLLoss(**PUBLISHED)(hard, hard, ids).item()
    assert value == pytest.approx(expected, abs=3e-4)
    # The divergence of the distributions themselves.
    plain = SuperpixelKLLoss('hard', symmetric=False)(hard, hard, ids).item()
    assert plain > 1.2


def test_one_way_is_at_most_the_log_of_the_size(device):
    hard = torch.eye(5, device=device)[None]
    ids = torch.zeros(1, 5, dtype=torch.long, device=device)
    for source in ('hard', 'soft'):
        value = SuperpixelKLLoss(source, symmetric=False)(hard, hard, ids)
        assert value.item() == pytest.approx(math.log(5))


def test_autocast_changes_nothing(
    device, kl_form, make_grouping, straight_through
):
    logits, ids = make_grouping()
    arguments = (*straight_through(logits), ids)
    loss = SuperpixelKLLoss(**kl_form)
    with torch.autocast(device.type, torch.bfloat16):
        value = loss(*arguments)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(*arguments))
    low = loss(*(part.bfloat16() for part in arguments[:2]), ids)
    assert low.dtype == torch.float32


def test_bad_input_is_named(make_grouping, straight_through):
    for bad in (
        dict(source='logits'),
        dict(detach='both'),
        dict(reduction='sum'),
    ):
        ((name, value),) = bad.items()
        with pytest.raises(ValueError, match=f'{name}={value!r} must be one'):
            MODELS.build(dict(type='SuperpixelKLLoss', **bad))
    with pytest.raises(ValueError, match='symmetric=False, softmax_again'):
        SuperpixelKLLoss(source='hard')
    logits, ids = make_grouping()
    hard, soft = straight_through(logits)
    loss = SuperpixelKLLoss()
    with pytest.raises(ValueError, match=r'\(2, 4, 11\) and \(2, 4, 10\)'):
        loss(hard, soft[..., :10], ids)
    with pytest.raises(ValueError, match=r'\(2, 11\), got \(2, 10\)'):
        loss(hard, soft, ids[:, :10])
