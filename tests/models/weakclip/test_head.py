import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_weakclip.models.losses.cam_seed import CAMSeedLoss
from mmseg_weakclip.models.losses.crf_boundary import CRFBoundaryLoss
from mmseg_weakclip.models.weakclip.head import TextGuidedHead, TextScoreHead


def make_samples(device, batch=2, side=32, with_image=True):
    samples = []
    for _ in range(batch):
        sample = SegDataSample()
        seeds = torch.randint(0, 3, (1, side, side), device=device)
        sample.gt_sem_seg = PixelData(data=seeds)
        if with_image:
            image = torch.randint(0, 256, (3, side, side), device=device)
            sample.img = PixelData(data=image.to(torch.uint8))
        samples.append(sample)
    return samples


def make_head(device, **kwargs):
    torch.manual_seed(0)
    return TextGuidedHead(
        in_channels=[4, 4],
        in_index=[0, 1],
        feature_strides=[4, 8],
        channels=4,
        num_classes=3,
        dropout_ratio=0,
        **kwargs,
    ).to(device)


SEED = dict(type='CAMSeedLoss', size=(8, 8))
BOUNDARY = dict(type='CRFBoundaryLoss', size=(8, 8))


def test_losses_are_those_of_its_parts(device):
    head = make_head(device, seed_loss=SEED, boundary_loss=BOUNDARY)
    samples = make_samples(device)
    logits = torch.randn(2, 3, 8, 8, device=device)
    losses = head.loss_by_feat(logits, samples)
    seeds = torch.cat([s.gt_sem_seg.data for s in samples])
    images = torch.stack([s.img.data for s in samples])
    expected = CAMSeedLoss(size=(8, 8))(logits, seeds)
    assert torch.equal(losses['loss_seed'], expected)
    expected = CRFBoundaryLoss(size=(8, 8))(logits, images)
    assert torch.allclose(losses['loss_boundary'], expected)
    assert set(losses) == {'loss_seed', 'loss_boundary', 'acc_seg'}


def test_accuracy_is_agreement_with_the_seeds(device):
    head = make_head(device, seed_loss=SEED)
    samples = make_samples(device, side=8)
    seeds = torch.cat([s.gt_sem_seg.data for s in samples])
    logits = F.one_hot(seeds, 3).permute(0, 3, 1, 2).float()
    for sign, expected in ((1, 100), (-1, 0)):
        accuracy = head.loss_by_feat(sign * logits, samples)['acc_seg']
        assert float(accuracy) == pytest.approx(expected, abs=1e-4)


def test_stock_losses_join_in(device):
    head = make_head(
        device,
        seed_loss=SEED,
        loss_decode=[dict(type='CrossEntropyLoss', loss_weight=0.5)],
    )
    samples = make_samples(device)
    logits = torch.zeros(2, 3, 8, 8, device=device)
    losses = head.loss_by_feat(logits, samples)
    expected = 0.5 * torch.log(torch.tensor(3.0))
    assert torch.allclose(losses['loss_ce'].cpu(), expected)


def test_boundary_loss_needs_the_image(device):
    head = make_head(device, boundary_loss=BOUNDARY)
    samples = make_samples(device, with_image=False)
    with pytest.raises(ValueError, match='WeakSegDataPreProcessor'):
        head.loss_by_feat(torch.zeros(2, 3, 8, 8, device=device), samples)


def test_gradient_reaches_every_parameter(device):
    head = make_head(device, seed_loss=SEED, boundary_loss=BOUNDARY)
    inputs = [
        torch.randn(2, 4, 8, 8, device=device),
        torch.randn(2, 4, 4, 4, device=device),
    ]
    losses = head.loss(inputs, make_samples(device), None)
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_text_score_head(device):
    head = TextScoreHead(
        3, loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4)
    )
    assert not list(head.parameters())
    score = torch.rand(2, 3, 4, 4, device=device)
    logits = head((None, score))
    assert torch.allclose(logits, score / 0.07)
    samples = make_samples(device)
    loss = head.loss((None, score), samples, None)['loss_ce']
    seeds = torch.cat([s.gt_sem_seg.data for s in samples])
    large = F.interpolate(logits, (32, 32), mode='bilinear')
    assert torch.allclose(loss, 0.4 * F.cross_entropy(large, seeds))
    head.init_weights()  # has no conv_seg to start


def test_text_score_head_checks_classes(device):
    with pytest.raises(ValueError, match='num_classes=4, .* 3 channels'):
        TextScoreHead(4)((torch.rand(1, 3, 2, 2, device=device),))
