"""Optimal transport between patches and classes."""

import math

import pytest
import torch

from mmseg_weakclip.models.refine.transport import (
    log_class_masses,
    log_transport_plan,
    transport_cams,
)


def case(device, batch=2, classes=4, patches=15):
    torch.manual_seed(0)
    scores = torch.rand(batch, classes, patches).to(device)
    masses = torch.rand(batch, classes).to(device)
    return scores, masses / masses.sum(1, keepdim=True)


def transport_plan(scores, masses, *options):
    return log_transport_plan(scores, masses.log(), *options).exp()


def naive_plan(scores, masses, smoothness, iterations):
    """Sinkhorn's iterations on the kernel of one image."""
    kernel = (scores / smoothness).double().exp()
    count = kernel.shape[1]
    left = torch.ones(len(kernel), dtype=torch.double)
    for _ in range(iterations):
        right = 1 / count / (kernel.T @ left)
        left = masses.double() / (kernel @ right)
    right = 1 / count / (kernel.T @ left)
    return left[:, None] * kernel * right


@pytest.mark.parametrize('smoothness', [0.05, 0.5])
def test_is_sinkhorn(smoothness, device):
    scores, masses = case(device)
    plan = transport_plan(scores, masses, smoothness, 20)
    for index in range(2):
        expected = naive_plan(
            scores[index].cpu(), masses[index].cpu(), smoothness, 20
        )
        assert torch.allclose(plan[index].cpu().double(), expected, atol=1e-6)


def test_marginals(device):
    scores, masses = case(device)
    plan = transport_plan(scores, masses, 0.1, 300)
    shares = torch.full((2, 15), 1 / 15, device=device)
    assert torch.allclose(plan.sum(1), shares, atol=1e-6)
    assert torch.allclose(plan.sum(2), masses, atol=1e-4)


def test_beats_every_other_plan():
    """No small change that keeps the marginals has a higher objective."""
    scores, masses = case(torch.device('cpu'), batch=1)
    plan = transport_plan(scores, masses, 0.2, 500)[0].double()

    def objective(plan):
        entropy = torch.special.entr(plan).sum()
        return (plan * scores[0]).sum() + 0.2 * entropy

    for _ in range(20):
        rows, columns = torch.randperm(4)[:2], torch.randperm(15)[:2]
        other = plan.clone()
        step = 0.1 * plan[rows][:, columns].min()
        other[rows[0], columns[0]] += step
        other[rows[1], columns[1]] += step
        other[rows[0], columns[1]] -= step
        other[rows[1], columns[0]] -= step
        assert objective(other) < objective(plan)


def test_by_hand():
    """Two patches, two classes of the same mass: each takes its own, as
    exp(1 / .5) : 1 of the half that a patch gives."""
    scores = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    plan = transport_plan(scores, torch.tensor([[0.5, 0.5]]), 0.5)
    share = 0.5 * math.exp(2) / (1 + math.exp(2))
    expected = [[share, 0.5 - share], [0.5 - share, share]]
    assert torch.allclose(plan[0], torch.tensor(expected), atol=1e-6)


def test_masses(device):
    scores, _ = case(device)
    present = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 1]]).bool().to(device)
    found = log_class_masses(scores, present).exp()
    total = scores[0].sum(1)[[0, 1, 3]].softmax(0)
    assert torch.allclose(found[0, [0, 1, 3]], total, atol=1e-6)
    assert found[1].tolist() == [0, 0, 0, 1]
    equal = log_class_masses(scores, present, sharpness=0.0).exp()
    assert torch.allclose(equal[0], present[0] / 3.0)


def test_what_takes_no_part_changes_nothing(device):
    torch.manual_seed(0)
    scores = torch.randn(3, 5, 4, 6, device=device)
    present = torch.ones(3, 5, dtype=torch.bool, device=device)
    present[1, 2:] = False
    found = transport_cams(scores, present)
    assert found.shape == scores.shape
    assert (found[1, 2:] == 0).all()
    alone = transport_cams(scores[1:2, :2], present[1:2, :2])
    assert torch.allclose(found[1:2, :2], alone, atol=1e-5)
    assert torch.allclose(found.amax((2, 3)), present.float())
    wild = scores.clone()
    wild[1, 2:] = 1e6
    assert torch.allclose(transport_cams(wild, present), found)
    # Neither a constant nor the unit of the scores matters.
    assert torch.allclose(
        transport_cams(7 * scores - 3, present), found, atol=1e-4
    )


def test_an_image_without_classes_has_no_cams(device):
    torch.manual_seed(0)
    scores = torch.randn(2, 3, 4, 6, device=device)
    present = torch.ones(2, 3, dtype=torch.bool, device=device)
    present[1] = False
    found = transport_cams(scores, present)
    assert (found[1] == 0).all()
    assert torch.equal(found[:1], transport_cams(scores[:1], present[:1]))


def test_shares_below_the_smallest_float(device):
    """A class with a share of exp(-600) still has its CAM."""
    scores = torch.full((1, 2, 40, 50), 0.4, device=device)
    scores[0, 0, :30] = 0.1
    scores[0, 0, 0, 0] = 1.0
    found = transport_cams(scores)
    assert found.isfinite().all()
    assert found[0, 0, 0, 0] == 1
    assert torch.allclose(found.amax((2, 3)), torch.ones(1, 2).to(found))
    assert found[0, 0, 10:30].max() < found[0, 0, 31:].min()


def test_one_class_takes_all():
    cams = transport_cams(torch.rand(1, 1, 3, 4), torch.ones(1, 1).bool())
    assert torch.allclose(cams, torch.ones(1, 1, 3, 4))


def test_flat_scores_and_half_precision(device):
    present = torch.ones(1, 3, dtype=torch.bool, device=device)
    flat = torch.full((1, 3, 4, 5), 0.3, device=device)
    assert transport_cams(flat, present).isfinite().all()
    with torch.autocast(device.type, torch.bfloat16):
        cams = transport_cams(flat.bfloat16(), present)
    assert cams.dtype == torch.float32


@pytest.mark.parametrize('options', [(0.0, 5), (-1.0, 5), (0.1, 0)])
def test_bad_arguments(options):
    with pytest.raises(ValueError, match='of the transport must be above 0'):
        transport_plan(torch.rand(1, 2, 3), torch.rand(1, 2), *options)
