import pytest
import torch

from mmseg_weakclip.models.clip.similarity import (
    centred_similarity,
    positive_softmax,
)


def test_by_hand(device):
    """Two patches alike, one at right angles: cosines 1, 1 and 0."""
    features = torch.tensor([[[1.0, 0], [2, 0], [0, 3]]], device=device)
    scores = centred_similarity(features, beta=1.0, gamma=3.0)
    # Five of nine cosines are one.
    same, other = 3 * (1 - 5 / 9), 3 * (0 - 5 / 9)
    expected = torch.tensor(
        [[same, same, other], [same, same, other], [other, other, same]]
    ).to(device)
    assert torch.allclose(scores[0], expected)
    relation = positive_softmax(scores)
    expected = torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1.0]])
    assert torch.allclose(relation[0], expected.to(device))


def test_images_are_alone(device):
    features = torch.randn(3, 12, 8, device=device)
    together = centred_similarity(features)
    for index in range(3):
        alone = centred_similarity(features[index : index + 1])[0]
        assert torch.allclose(alone, together[index], atol=1e-6)


@pytest.mark.parametrize('beta', [1.0, 1.2, 5.0])
def test_rows_sum_to_one_whatever_the_features(device, beta):
    for features in (
        torch.randn(2, 9, 4, device=device),
        torch.ones(2, 9, 4, device=device),  # all alike
        torch.zeros(2, 9, 4, device=device),
    ):
        relation = positive_softmax(centred_similarity(features, beta))
        sums = torch.ones(2, 9, device=device)
        assert torch.allclose(relation.sum(-1), sums)
        assert (relation >= 0).all()


def test_all_alike_is_uniform(device):
    relation = positive_softmax(
        centred_similarity(torch.ones(1, 5, 4, device=device), beta=0.9)
    )
    assert torch.allclose(relation, torch.full_like(relation, 1 / 5))


def test_gradient_reaches_the_features(device):
    features = torch.randn(1, 6, 4, device=device, requires_grad=True)
    relation = positive_softmax(centred_similarity(features))
    (relation * torch.randn_like(relation)).sum().backward()
    assert torch.isfinite(features.grad).all()
    assert features.grad.abs().sum() > 0


def test_bfloat16_features_are_compared_in_float32(device):
    features = torch.randn(1, 6, 4, device=device)
    with torch.autocast(device.type, torch.bfloat16):
        rough = centred_similarity(features)
    assert rough.dtype == torch.float32
    assert torch.equal(rough, centred_similarity(features))


def test_mean_of_a_batch(device):
    """As published: one mean for all pairs of all images."""
    features = torch.randn(3, 12, 8, device=device)
    unit = features / features.norm(dim=-1, keepdim=True)
    cosine = unit @ unit.mT
    ours = centred_similarity(features, mean='batch')
    assert torch.allclose(ours, 3 * (cosine - cosine.mean()), atol=1e-5)
    with pytest.raises(ValueError, match="mean='all'"):
        centred_similarity(features, mean='all')
