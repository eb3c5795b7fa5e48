import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses.batch_dice import BatchDiceLoss, batch_dice


def random_case(device, batch=2, classes=4, height=5, width=7):
    logits = 2 * torch.randn(batch, classes, height, width)
    labels = torch.randint(0, classes, (batch, height, width))
    labels[torch.rand(labels.shape) < 0.3] = 255
    return logits.to(device), labels.to(device)


def naive(logits, labels, count_ignored):
    """Class by class, pixel by pixel, over the whole batch."""
    probabilities = logits.softmax(1).tolist()
    classes = logits.shape[1]
    total = 0.0
    for c in range(classes):
        both = given = found = 0.0
        for b, rows in enumerate(labels.tolist()):
            for y, row in enumerate(rows):
                for x, label in enumerate(row):
                    p = probabilities[b][c][y][x]
                    if label != 255 or count_ignored:
                        found += p
                    both += p * (label == c)
                    given += label == c
        total += 2 * both / (found + given + 1e-7)
    return 1 - total / classes


@pytest.mark.parametrize('count_ignored', [False, True])
def test_is_its_formula(device, count_ignored):
    logits, labels = random_case(device)
    found = batch_dice(logits, labels, count_ignored=count_ignored)
    expected = naive(logits.cpu(), labels.cpu(), count_ignored)
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_by_hand(device):
    """Two classes, uniform: 2 * .5 / (1 + 1) and 2 * .5 / (1 + 1)."""
    logits = torch.zeros(1, 2, 1, 2, device=device)
    labels = torch.tensor([[[0, 1]]], device=device)
    assert batch_dice(logits, labels).item() == pytest.approx(0.5)
    # The ignored pixel's probability makes the denominator larger.
    labels = torch.tensor([[[0, 255]]], device=device)
    assert batch_dice(logits, labels).item() == pytest.approx(
        1 - (2 * 0.5 / 1.5 + 0) / 2
    )
    assert batch_dice(logits, labels, count_ignored=True).item() == (
        pytest.approx(1 - (2 * 0.5 / 2 + 0) / 2)
    )


def test_perfect_and_empty(device):
    labels = torch.tensor([[[0, 1], [1, 0]]], device=device)
    logits = 50.0 * torch.nn.functional.one_hot(labels, 2).movedim(-1, 1)
    assert batch_dice(logits, labels).item() == pytest.approx(0, abs=1e-6)
    nothing = torch.full_like(labels, 255)
    assert batch_dice(logits, nothing).item() == pytest.approx(1)


@pytest.mark.parametrize('count_ignored', [False, True])
def test_gradient_of_ignored_pixels(device, count_ignored):
    logits, labels = random_case(device)
    logits.requires_grad_()
    batch_dice(logits, labels, count_ignored=count_ignored).backward()
    grads = logits.grad.movedim(1, -1)
    assert grads.isfinite().all()
    assert grads[labels != 255].abs().sum() > 0
    assert bool(grads[labels == 255].any()) == count_ignored


def test_as_a_loss_of_a_head(device):
    logits, labels = random_case(device)
    loss = MODELS.build(
        dict(type='BatchDiceLoss', loss_weight=3.0, loss_name='loss_d')
    )
    assert loss.loss_name == 'loss_d'
    torch.testing.assert_close(
        loss(logits, labels), 3 * batch_dice(logits, labels)
    )
    half = loss(logits.bfloat16(), labels)
    assert half.dtype == torch.float32
    with pytest.raises(ValueError, match='no weights of pixels'):
        BatchDiceLoss()(logits, labels, weight=torch.ones(labels.shape))
