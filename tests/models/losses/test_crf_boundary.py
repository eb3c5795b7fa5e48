import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses import crf_boundary
from mmseg_weakclip.models.losses.crf_boundary import (
    CRFBoundaryLoss,
    clipped_kl,
)
from mmseg_weakclip.models.losses.functional import smoothed_softmax
from mmseg_weakclip.models.refine.crf_params import CRFParams
from mmseg_weakclip.models.refine.dense_crf import dense_crf

SIZE = (12, 16)
RANGE = (0.05, 20.0)


def random_case(device, batch=2, classes=3, height=24, width=40):
    logits = 2 * torch.randn(batch, classes, 6, 10)
    images = 255 * torch.rand(batch, 3, 6, 10)
    images = F.interpolate(images, (height, width), mode='bilinear')
    return logits.to(device), images.to(device)


def naive_kl(target, probs):
    """Pixel by pixel, of arrays (B, K, H, W)."""
    total = np.zeros((target.shape[0], *target.shape[2:]))
    for b, k, y, x in np.ndindex(*target.shape):
        q, p = float(target[b, k, y, x]), float(probs[b, k, y, x])
        total[b, y, x] += q * math.log(min(max(q / p, 0.05), 20))
    return torch.from_numpy(total).float()


def test_kl_is_its_formula(device):
    target = (3 * torch.randn(2, 3, 4, 5)).softmax(1).clamp(min=1e-4)
    probs = (3 * torch.randn(2, 3, 4, 5)).softmax(1)
    ratio = target / probs
    assert (ratio > 20).any()
    assert (ratio < 0.05).any()
    torch.testing.assert_close(
        clipped_kl(target.to(device), probs.to(device), RANGE).cpu(),
        naive_kl(target, probs),
        atol=1e-6,
        rtol=1e-5,
    )


def test_kl_by_hand(device):
    target = torch.tensor([0.75, 0.25], device=device).view(1, 2, 1, 1)
    probs = torch.tensor([0.5, 0.5], device=device).view(1, 2, 1, 1)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert clipped_kl(target, probs, RANGE).item() == pytest.approx(expected)


def test_kl_is_zero_for_equal_and_positive_for_other(device):
    probs = torch.randn(2, 3, 4, 5).to(device).softmax(1)
    assert (clipped_kl(probs, probs, RANGE) == 0).all()
    other = torch.randn(2, 3, 4, 5).to(device).softmax(1)
    assert (clipped_kl(other, probs, (1e-9, 1e9)) > 0).all()


def test_clipped_ratios_have_no_gradient(device):
    target = torch.tensor([0.9, 0.0999, 0.0001], device=device)
    probs = torch.tensor([0.01, 0.09, 0.9], device=device)
    probs = probs.view(1, 3, 1, 1).requires_grad_()
    clipped_kl(target.view(1, 3, 1, 1), probs, RANGE).sum().backward()
    # Ratios 90 (clipped), 1.11 and 0.0001 (clipped): -q / p in the middle.
    expected = [0.0, -0.0999 / 0.09, 0.0]
    assert probs.grad.flatten().tolist() == pytest.approx(expected)


def test_loss_is_its_definition(device):
    logits, images = random_case(device)
    small = F.interpolate(logits, SIZE, mode='bilinear', align_corners=False)
    probs = smoothed_softmax(small)
    pixels = F.interpolate(images, SIZE, mode='bilinear', align_corners=False)
    q = dense_crf(pixels, probs.clamp(min=1e-4), 'weakclip_train')
    q = q.clamp(min=1e-4)
    q = q / q.sum(1, keepdim=True)
    expected = 0.3 * naive_kl(q.cpu(), probs.cpu()).mean()
    loss = CRFBoundaryLoss(size=SIZE, loss_weight=0.3)(logits, images)
    torch.testing.assert_close(loss.cpu(), expected, atol=1e-6, rtol=1e-5)


def test_loss_is_zero_where_the_crf_changes_nothing(device):
    """Without iterations the CRF gives back the prediction."""
    logits, images = random_case(device)
    loss = CRFBoundaryLoss(dict(iterations=0), size=SIZE)(logits, images)
    assert loss.item() == pytest.approx(0.0, abs=1e-4)


def test_gradient_moves_the_prediction_towards_the_crf(device):
    logits, images = random_case(device)
    module = CRFBoundaryLoss(size=None)
    images = F.interpolate(images, logits.shape[2:], mode='bilinear')
    logits.requires_grad_()
    loss = module(logits, images)
    (grad,) = torch.autograd.grad(loss, logits)
    q = module._target(images, smoothed_softmax(logits.detach()))
    with torch.no_grad():
        probs = smoothed_softmax(logits)
        ratio = q / probs
        inside = ((ratio > 0.05) & (ratio < 20)).float()
        # Softmax, with q held constant: p_k sum_c(m_c q_c) - m_k q_k.
        expected = probs * (inside * q).sum(1, keepdim=True) - inside * q
        expected = expected / probs[:, 0].numel()
    torch.testing.assert_close(grad, expected, atol=1e-6, rtol=1e-3)
    with torch.no_grad():
        assert module(logits - 5 * grad, images) < loss


def test_inputs_stay_as_they_are(device):
    logits, images = random_case(device)
    before = logits.clone(), images.clone()
    module = CRFBoundaryLoss(size=None)
    module(logits.requires_grad_(), images).backward()
    assert torch.equal(logits, before[0])
    assert torch.equal(images, before[1])


def test_crf_sees_no_probability_below_its_floor(device, monkeypatch):
    seen = []

    def crf(images, probs, params, backend):
        seen.append(probs)
        return probs

    monkeypatch.setattr(crf_boundary, 'dense_crf', crf)
    logits, images = random_case(device)
    CRFBoundaryLoss(size=SIZE)(50 * logits, images)
    assert seen[0].min().item() == pytest.approx(1e-4)


def test_crf_sees_the_image_resized_as_asked(device, monkeypatch):
    seen = []

    def crf(images, probs, params, backend):
        seen.append(images)
        return probs

    monkeypatch.setattr(crf_boundary, 'dense_crf', crf)
    logits, images = random_case(device)
    for align_corners in (False, True):
        CRFBoundaryLoss(size=SIZE, align_corners=align_corners)(
            logits, images.byte()
        )
        expected = F.interpolate(
            images.byte().float(),
            SIZE,
            mode='bilinear',
            align_corners=align_corners,
        )
        torch.testing.assert_close(seen[-1], expected)
    assert not torch.equal(*seen)
    # Aligned corners keep the corner pixels themselves.
    torch.testing.assert_close(
        seen[1][..., 0, 0], images.byte().float()[..., 0, 0]
    )


def test_mask_takes_pixels_out_of_the_mean(device):
    logits, images = random_case(device, height=12, width=16)
    module = CRFBoundaryLoss(size=SIZE)
    everything = torch.ones(2, 12, 16, dtype=torch.bool, device=device)
    torch.testing.assert_close(
        module(logits, images, everything), module(logits, images)
    )
    left, right = everything.clone(), everything.clone()
    left[..., 5:] = False
    right[..., :5] = False
    mean = 5 * module(logits, images, left)
    mean = (mean + 11 * module(logits, images, right)) / 16
    torch.testing.assert_close(mean, module(logits, images))
    assert module(logits, images, ~everything) == 0


def test_images_of_a_batch_are_independent(device):
    logits, images = random_case(device, batch=3)
    module = CRFBoundaryLoss(size=SIZE)
    alone = [module(logits[i : i + 1], images[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(
        module(logits, images), torch.stack(alone).mean(), atol=1e-6, rtol=0
    )


def test_no_numpy_in_the_step(device, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError('a round trip through numpy')

    monkeypatch.setattr(torch.Tensor, 'numpy', refuse)
    monkeypatch.setattr(torch.Tensor, '__array__', refuse)
    logits, images = random_case(device)
    CRFBoundaryLoss(size=SIZE)(logits.requires_grad_(), images).backward()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_and_extremes_are_finite(device, dtype):
    logits, images = random_case(device)
    logits = (1000 * logits).to(dtype).requires_grad_()
    with torch.autocast(device.type, torch.bfloat16):
        loss = CRFBoundaryLoss(size=SIZE)(logits, images)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_autocast_changes_nothing(device):
    logits, images = random_case(device)
    module = CRFBoundaryLoss(size=SIZE)
    expected = module(logits, images)
    with torch.autocast(device.type, torch.bfloat16):
        assert torch.equal(module(logits, images), expected)


def test_nan_logits_give_a_nan_loss(device):
    """Not an error: the training loop knows which images to blame."""
    logits, images = random_case(device)
    logits[1, 0, 0, 0] = float('nan')
    assert CRFBoundaryLoss(size=SIZE)(logits, images).isnan()


def test_normalised_images_are_refused(device):
    logits, images = random_case(device)
    with pytest.raises(ValueError, match='normalisation'):
        CRFBoundaryLoss(size=SIZE)(logits, images / 64 - 2)


def test_backends_agree_on_the_loss(voc_root):
    pytest.importorskip('pydensecrf')
    paths = sorted((voc_root / 'JPEGImages').glob('*.jpg'))[:2]
    images = [cv2.resize(cv2.imread(str(path)), (96, 96)) for path in paths]
    images = torch.from_numpy(np.stack(images)[..., ::-1].copy())
    images = images.permute(0, 3, 1, 2)
    logits = F.interpolate(3 * torch.randn(2, 21, 6, 6), (64, 64))
    values = {}
    for backend in ('auto', 'torch-exact', 'pydensecrf'):
        loss = CRFBoundaryLoss(backend=backend, size=(32, 32))
        values[backend] = loss(logits, images).item()
    assert values['auto'] == pytest.approx(values['pydensecrf'], rel=1e-4)
    assert values['torch-exact'] == pytest.approx(values['auto'], rel=0.05)


def test_built_from_a_config():
    loss = MODELS.build(
        dict(
            type='CRFBoundaryLoss',
            params=dict(iterations=2),
            size=[8, 8],
            ratio_range=[0.1, 10],
            loss_name='loss_edges',
        )
    )
    assert loss.params == CRFParams(iterations=2)
    assert loss.size == (8, 8)
    assert loss.loss_name == 'loss_edges'


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match='20'):
        CRFBoundaryLoss(ratio_range=(20, 0.05))
    with pytest.raises(ValueError, match='voc13'):
        CRFBoundaryLoss('voc13')
