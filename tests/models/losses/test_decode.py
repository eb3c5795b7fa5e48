import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead
from mmseg.models.losses import accuracy
from mmseg.structures import SegDataSample

from mmseg_weakclip.models.losses.decode import decode_losses, pixel_accuracy

CE = dict(type='CrossEntropyLoss', loss_weight=0.5)


def make_labels(device):
    labels = torch.randint(0, 4, (2, 12, 20))
    labels[labels == 3] = 255
    return labels.to(device)


def make_head(**options):
    return FCNHead(
        in_channels=8,
        channels=4,
        num_classes=3,
        norm_cfg=dict(type='BN'),
        **options,
    )


def make_samples(labels):
    return [
        SegDataSample(gt_sem_seg=PixelData(data=own[None])) for own in labels
    ]


def test_accuracy_is_that_of_mmseg(device):
    logits = torch.randn(2, 3, 12, 20, device=device)
    labels = make_labels(device)
    expected = accuracy(logits, labels, ignore_index=255)
    ours = pixel_accuracy(logits, labels)
    torch.testing.assert_close(ours, expected[0])


def test_accuracy_by_hand():
    logits = torch.eye(3).view(1, 3, 1, 3)
    labels = torch.tensor([[[0, 2, 255]]])
    assert pixel_accuracy(logits, labels).item() == pytest.approx(50)
    # A batch without labels has mmseg's value, too.
    nothing = torch.full_like(labels, 255)
    assert pixel_accuracy(logits, nothing).item() == pytest.approx(100)
    assert pixel_accuracy(logits, labels, 2).item() == pytest.approx(50)


@pytest.mark.parametrize(
    'options',
    [
        dict(loss_decode=CE),
        # Two of one name, which are added, and one of another.
        dict(loss_decode=[CE, CE, dict(CE, loss_name='loss_other')]),
        dict(loss_decode=CE, align_corners=True),
        dict(
            loss_decode=CE,
            sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=9),
        ),
    ],
)
def test_losses_are_those_of_mmseg(device, options):
    head = make_head(**options).to(device)
    logits = torch.randn(2, 3, 6, 10, device=device)
    samples = make_samples(make_labels(device))
    expected = head.loss_by_feat(logits, samples)
    ours = decode_losses(head, logits, samples)
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(ours[name].mean(), value.mean())


def test_gradient_is_that_of_mmseg(device):
    head = make_head(loss_decode=CE).to(device)
    samples = make_samples(make_labels(device))
    gradients = []
    for losses_of in (head.loss_by_feat, lambda *x: decode_losses(head, *x)):
        logits = torch.linspace(-1, 1, 360, device=device).view(2, 3, 6, 10)
        logits.requires_grad_()
        losses_of(logits, samples)['loss_ce'].backward()
        gradients.append(logits.grad)
    assert torch.equal(*gradients)
