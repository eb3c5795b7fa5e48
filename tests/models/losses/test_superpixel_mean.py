import pytest
import torch

from mmseg_weakclip.models.losses.superpixel_kl import superpixel_mean


def naive_mean(assignment, superpixels):
    columns = []
    for b, ids in enumerate(superpixels.tolist()):
        for i in ids:
            own = [assignment[b, :, j] for j, k in enumerate(ids) if k == i]
            total = sum(own) / len(own)
            columns.append(total if i >= 0 else torch.zeros_like(total))
    mean = torch.stack(columns).view(*superpixels.shape, -1)
    return mean.transpose(1, 2)


def test_mean_by_hand(device):
    assignment = torch.tensor([[[1.0, 3.0, 5.0, 7.0]]], device=device)
    superpixels = torch.tensor([[4, 0, 4, -1]], device=device)
    mean = superpixel_mean(assignment, superpixels)
    assert mean.tolist() == [[[3.0, 3.0, 3.0, 0.0]]]


@pytest.mark.parametrize(
    ('batch', 'groups', 'number', 'superpixels'),
    [(1, 2, 1, 1), (3, 5, 17, 4), (2, 1, 9, 40), (2, 3, 12, 0)],
)
def test_mean_is_its_formula(
    batch, groups, number, superpixels, make_grouping
):
    logits, ids = make_grouping(batch, groups, number, superpixels)
    values = logits.detach()
    torch.testing.assert_close(
        superpixel_mean(values, ids), naive_mean(values, ids)
    )


def test_ids_are_names(device, make_grouping):
    """Other ids, large, sparse and in another order, change nothing."""
    logits, ids = make_grouping(number=30, superpixels=4)
    names = torch.tensor([2**62, 5, 0, 2**40], device=device)
    renamed = names[ids.clamp(min=0)].where(ids >= 0, -1)
    values = logits.detach()
    torch.testing.assert_close(
        superpixel_mean(values, renamed), superpixel_mean(values, ids)
    )


def test_images_do_not_mix(device, make_grouping):
    """One id for all: the mean is that of the image."""
    logits, _ = make_grouping(batch=3)
    values = logits.detach()
    ids = torch.full((3, 11), 6, device=device)
    expected = values.mean(dim=2, keepdim=True).expand_as(values)
    torch.testing.assert_close(superpixel_mean(values, ids), expected)
