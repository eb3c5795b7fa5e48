import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.refine import crf_flips
from mmseg_weakclip.models.refine.crf_flips import (
    POWERS,
    crf_uncertainty,
    flipping_pixels,
)
from mmseg_weakclip.models.refine.dense_crf import dense_crf

SIZE = (14, 18)
# Kernels of a few pixels, so that the scores have a say.
WEAK = dict(gaussian_compat=0.5, bilateral_compat=0.5, bilateral_sxy=5)


def random_case(device, classes=3):
    """Blobs of scores over blobs of colour."""
    blobs = torch.rand(1, 3, 3, 4), 2 * torch.randn(1, classes, 3, 4)
    image, logits = (
        F.interpolate(values, SIZE, mode='bilinear')[0] for values in blobs
    )
    scores = 0.1 + 0.8 * logits.softmax(0)
    return (255 * image).to(device), scores.to(device)


def naive_uncertainty(image, scores, labels, params, powers):
    """A CRF for each class and power, and the variance by hand."""
    shown = sorted(set(labels.flatten().tolist()))
    kept = scores[shown]
    largest = torch.zeros(SIZE)
    for column in range(len(shown)):
        wins = []
        for power in powers:
            raised = kept.clone()
            raised[column] = kept[column] ** power
            q = dense_crf(image[None], raised[None], params)[0]
            wins.append((q.argmax(0) == column).cpu().numpy())
        share = np.mean(wins, 0)
        variance = torch.from_numpy(share * (1 - share)).float()
        largest = torch.maximum(largest, variance)
    spread = largest - largest.min()
    return spread / spread.max() if spread.max() else spread


@pytest.mark.parametrize(
    'params', [WEAK, dict(WEAK, iterations=2, bilateral_compat=2)]
)
def test_is_its_definition(device, params):
    image, scores = random_case(device)
    labels = scores.argmax(0)
    found = crf_uncertainty(image, scores, labels, params)
    expected = naive_uncertainty(image, scores, labels, params, POWERS)
    assert 0 < found.mean() < 1
    torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=0)


def test_parts_change_nothing(device, monkeypatch):
    image, scores = random_case(device)
    labels = scores.argmax(0)
    whole = crf_uncertainty(image, scores, labels, 'voc12')
    monkeypatch.setattr(crf_flips, 'MAX_FLOATS', 1)
    each = crf_uncertainty(image, scores, labels, 'voc12')
    assert torch.equal(whole, each)


def test_classes_that_the_mask_lacks_do_not_count(device):
    image, scores = random_case(device, 4)
    scores = scores[[0, 1, 3]]
    labels = scores.argmax(0)
    wider = torch.cat([scores[:2], 0 * scores[:1], scores[2:]])
    place = torch.tensor([0, 1, 3], device=device)[labels]
    torch.testing.assert_close(
        crf_uncertainty(image, scores, labels, 'voc12'),
        crf_uncertainty(image, wider, place, 'voc12'),
    )


def test_a_mask_of_one_class_is_sure(device):
    image, scores = random_case(device, 2)
    labels = torch.zeros(SIZE, dtype=torch.long, device=device)
    found = crf_uncertainty(image, scores, labels, 'voc12')
    assert torch.equal(found, torch.zeros_like(found))
    assert not flipping_pixels(found).any()


def test_an_undecided_half_is_unsure(device):
    """One half is sure of its class, the other a coin's throw."""
    image = torch.zeros(3, *SIZE, device=device)
    image[:, :, 9:] = 255
    scores = torch.full((2, *SIZE), 0.5, device=device)
    scores[0, :, :9], scores[1, :, :9] = 0.999, 0.001
    scores[0, :, 9:], scores[1, :, 9:] = 0.49, 0.51
    labels = scores.argmax(0)
    unsure = flipping_pixels(crf_uncertainty(image, scores, labels, 'voc12'))
    assert not unsure[:, :9].any()
    assert unsure[:, 9:].all()


def test_limit_by_hand(device):
    values = torch.tensor([[0.0, 0.94, 0.951, 1.0]], device=device)
    assert flipping_pixels(values).tolist() == [[False, False, True, True]]
    assert flipping_pixels(values, 0.5).tolist() == [[False, True, True, True]]
