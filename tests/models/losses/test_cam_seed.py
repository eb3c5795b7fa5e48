import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weakclip.models.losses import cam_seed
from mmseg_weakclip.models.losses.cam_seed import (
    CAMSeedLoss,
    balanced_seed_loss,
    count_empty_seeds,
)


def random_case(device, batch=2, classes=4, height=5, width=7):
    logits = torch.randn(batch, classes, height, width)
    seeds = torch.randint(0, classes, (batch, height, width))
    seeds[torch.rand(seeds.shape) < 0.3] = 255
    return logits.to(device), seeds.to(device)


def naive_loss(logits, seeds):
    """One image, pixel by pixel."""
    classes, height, width = logits.shape
    sums, counts = [0.0, 0.0], [0, 0]
    for y in range(height):
        for x in range(width):
            label = int(seeds[y, x])
            if label == 255:
                continue
            exps = [math.exp(float(z)) for z in logits[:, y, x]]
            probs = [e / sum(exps) + 1e-7 for e in exps]
            side = int(label > 0)
            sums[side] -= math.log(probs[label] / sum(probs))
            counts[side] += 1
    return sum(s / max(n, 1e-4) for s, n in zip(sums, counts))


def test_is_its_formula(device):
    logits, seeds = random_case(device)
    loss = balanced_seed_loss(logits, seeds)
    expected = [naive_loss(*pair) for pair in zip(logits, seeds)]
    torch.testing.assert_close(
        loss.cpu(), torch.tensor(expected), atol=1e-6, rtol=1e-6
    )


def test_by_hand(device):
    """Uniform over two classes: log 2 for each side that has seeds."""
    logits = torch.zeros(4, 2, 1, 3, device=device)
    seeds = torch.tensor(
        [[[0, 1, 1]], [[0, 0, 255]], [[255, 255, 1]], [[255, 255, 255]]],
        device=device,
    )
    loss = balanced_seed_loss(logits, seeds)
    expected = math.log(2) * torch.tensor([2.0, 1.0, 1.0, 0.0])
    torch.testing.assert_close(loss.cpu(), expected)


def test_zero_where_the_prediction_is_right(device):
    _, seeds = random_case(device)
    sure = F.one_hot(seeds.masked_fill(seeds == 255, 0), 4)
    loss = balanced_seed_loss(50.0 * sure.permute(0, 3, 1, 2), seeds)
    assert (loss.abs() < 1e-5).all()


def test_sides_are_balanced(device):
    """One foreground pixel weighs as much as all of the background."""
    logits = torch.zeros(1, 2, 10, 10, device=device)
    seeds = torch.zeros(1, 10, 10, dtype=torch.long, device=device)
    seeds[0, 3, 4] = 1
    logits.requires_grad_()
    balanced_seed_loss(logits, seeds).sum().backward()
    grad = logits.grad[0, 1]
    assert grad[3, 4].item() == pytest.approx(-0.5, rel=1e-4)
    assert grad.sum().item() == pytest.approx(0.0, abs=1e-5)


def test_gradient_raises_the_seed_and_lowers_the_rest(device):
    logits, seeds = random_case(device)
    logits.requires_grad_()
    balanced_seed_loss(logits, seeds).sum().backward()
    valid = seeds != 255
    target = F.one_hot(seeds.masked_fill(~valid, 0), 4).permute(0, 3, 1, 2)
    wrong = valid[:, None] & (target == 0)
    assert (logits.grad[valid[:, None] & (target == 1)] < 0).all()
    assert (logits.grad[wrong] > 0).all()
    assert (logits.grad[~valid[:, None].expand_as(wrong)] == 0).all()


def test_gradient_is_that_of_finite_differences():
    logits, seeds = random_case('cpu', batch=1, classes=3, height=2, width=3)
    logits.requires_grad_()
    loss = balanced_seed_loss(logits, seeds).sum()
    (grad,) = torch.autograd.grad(loss, logits)
    step = 1e-2
    for index in range(0, logits.numel(), 4):
        shift = torch.zeros_like(logits).flatten()
        shift[index] = step
        shift = shift.view_as(logits)
        up = balanced_seed_loss(logits + shift, seeds).sum()
        down = balanced_seed_loss(logits - shift, seeds).sum()
        numeric = ((up - down) / (2 * step)).item()
        assert grad.flatten()[index].item() == pytest.approx(numeric, abs=2e-3)


def test_ignored_pixels_do_not_matter(device):
    logits, seeds = random_case(device)
    other = torch.where(
        (seeds == 255)[:, None], 9 * torch.rand_like(logits), logits
    )
    assert torch.equal(
        balanced_seed_loss(logits, seeds), balanced_seed_loss(other, seeds)
    )
    seeds[seeds == 255] = 77
    torch.testing.assert_close(
        balanced_seed_loss(logits, seeds, ignore_index=77),
        balanced_seed_loss(other, seeds, ignore_index=77),
    )


def test_images_of_a_batch_are_independent(device):
    logits, seeds = random_case(device, batch=3)
    alone = [
        balanced_seed_loss(*pair)
        for pair in zip(logits.split(1), seeds.split(1))
    ]
    torch.testing.assert_close(
        balanced_seed_loss(logits, seeds), torch.cat(alone)
    )


def test_weights_act_as_repeated_pixels(device):
    logits, seeds = random_case(device, height=1, width=6)
    weight = torch.tensor([[[1, 2, 0, 1, 3, 1]]] * 2, device=device)
    repeats = weight[0, 0]
    expected = balanced_seed_loss(
        logits.repeat_interleave(repeats, -1),
        seeds.repeat_interleave(repeats, -1),
    )
    torch.testing.assert_close(
        balanced_seed_loss(logits, seeds, weight=weight), expected
    )


def test_only_ignored_pixels_give_zero_and_a_zero_gradient(device):
    logits, seeds = random_case(device)
    seeds[:] = 255
    logits.requires_grad_()
    loss = balanced_seed_loss(logits, seeds)
    loss.sum().backward()
    assert (loss == 0).all()
    assert (logits.grad == 0).all()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_extreme_half_logits_are_finite(device, dtype):
    logits = torch.full((1, 2, 2, 2), 3e4, dtype=dtype, device=device)
    logits[:, 0] = -3e4
    logits.requires_grad_()
    seeds = torch.zeros(1, 2, 2, dtype=torch.long, device=device)
    loss = balanced_seed_loss(logits, seeds)
    loss.sum().backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(-math.log(1e-7), rel=1e-3)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize('label', [4, 90, -1])
def test_unknown_ids_are_named(device, label):
    logits, seeds = random_case(device)
    seeds[1, 2, 3] = label
    with pytest.raises(ValueError, match=rf'\[{label}\].*0\.\.3.*255'):
        balanced_seed_loss(logits, seeds)


def test_sizes_must_match():
    logits, seeds = random_case('cpu')
    with pytest.raises(ValueError, match=r'\(2, 4, 7\).*\(2, 4, 5, 7\)'):
        balanced_seed_loss(logits, seeds[:, :4])


def test_empty_seeds_are_counted(device):
    seeds = torch.tensor([[[0, 255], [1, 2]], [[255, 255], [255, 255]]])
    assert count_empty_seeds(seeds.to(device), 3) == 1
    with pytest.raises(ValueError, match=r'the ids \[2\]'):
        count_empty_seeds(seeds.to(device), 2)


def test_module_resizes_logits_bilinearly_and_seeds_to_the_nearest(device):
    logits = torch.randn(2, 4, 8, 10).to(device)
    seeds = torch.randint(0, 4, (2, 32, 40)).to(device)
    small = F.interpolate(logits, (6, 7), mode='bilinear')
    nearest = F.interpolate(seeds[:, None].float(), (6, 7))[:, 0].long()
    expected = 0.5 * balanced_seed_loss(small, nearest).mean()
    loss = CAMSeedLoss(size=(6, 7), loss_weight=0.5)
    torch.testing.assert_close(loss(logits, seeds), expected)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_module_resizes_in_float32(device, dtype):
    logits = torch.randn(2, 4, 8, 10).to(device, dtype)
    seeds = torch.randint(0, 4, (2, 16, 20)).to(device)
    loss = CAMSeedLoss(size=(5, 7))
    assert torch.equal(loss(logits, seeds), loss(logits.float(), seeds))


def test_module_at_the_size_of_the_logits(device):
    logits, seeds = random_case(device)
    weight = torch.rand(seeds.shape).to(device)
    loss = CAMSeedLoss(size=None)
    torch.testing.assert_close(
        loss(logits, seeds.byte(), weight),
        balanced_seed_loss(logits, seeds, weight=weight).mean(),
    )


def test_empty_seeds_are_logged_once(monkeypatch, device):
    messages = []

    class Logger:
        @staticmethod
        def get_current_instance():
            return Logger()

        def warning(self, message):
            messages.append(message)

    monkeypatch.setattr(cam_seed, 'MMLogger', Logger)
    loss = CAMSeedLoss(size=None)
    logits, seeds = random_case(device)
    loss(logits, seeds)
    assert not messages
    seeds[1] = 255
    for _ in range(2):
        assert loss(logits, seeds).isfinite()
    assert len(messages) == 1
    assert 'loss_seed: 1 of 2 images' in messages[0]


def test_in_a_stock_head_under_autocast(device):
    head = MODELS.build(
        dict(
            type='FCNHead',
            in_channels=6,
            channels=8,
            num_convs=1,
            num_classes=4,
            norm_cfg=dict(type='BN'),
            loss_decode=[
                dict(type='CAMSeedLoss', size=(6, 6)),
                dict(type='CrossEntropyLoss', loss_weight=0.1),
            ],
        )
    ).to(device)
    seeds = torch.randint(0, 4, (2, 1, 24, 32))
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=seed.to(device)))
        for seed in seeds
    ]
    features = [torch.randn(2, 6, 6, 8, device=device)]
    with torch.autocast(device.type, torch.bfloat16):
        losses = head.loss(features, samples, {})
    assert losses['loss_seed'].dtype == torch.float32
    losses['loss_seed'].backward()
    assert head.conv_seg.weight.grad.abs().sum() > 0
