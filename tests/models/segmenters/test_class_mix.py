"""Objects pasted from one image into another."""

import pytest
import torch

from mmseg_weakclip.models.segmenters.class_mix import (
    choose_half,
    mix_classes,
    outline_of,
)


def test_outline_by_hand(device):
    region = torch.zeros(1, 5, 6, dtype=torch.bool, device=device)
    region[:, 1:4, 2:5] = True
    expected = torch.zeros_like(region)
    expected[:, 0:5, 1:6] = True
    expected[:, 2, 3] = False  # the middle stays after an erosion
    assert outline_of(region).equal(expected)


def test_the_border_of_the_image_is_no_outline():
    assert not outline_of(torch.ones(2, 4, 7, dtype=torch.bool)).any()


@pytest.mark.parametrize('count', range(6))
def test_half_of_the_foreground(count, device):
    present = torch.zeros(50, 7, dtype=torch.bool, device=device)
    present[:, 0] = True
    present[:, 1 : 1 + count] = True
    torch.manual_seed(0)
    chosen = choose_half(present)
    assert chosen.sum(1).eq((count + 1) // 2).all()
    assert not (chosen & ~present).any()
    assert not chosen[:, 0].any()
    if count > 1:  # not always the same ones
        assert len(chosen.unique(dim=0)) > 1


def sure_of(labels, classes, value=0.97):
    """Probabilities that are sure of labels, and unsure where they are 255."""
    sure = labels != 255
    table = torch.full((*labels.shape, classes), (1 - value) / (classes - 1))
    table.scatter_(3, labels.where(sure, 0)[..., None], value)
    table[~sure] = 1 / classes
    return table.movedim(3, 1)


def test_what_is_pasted(device):
    """Two images with one object each: all of it moves, and no background."""
    labels = torch.zeros(2, 6, 8, dtype=torch.long)
    labels[0, 1:3, 1:3] = 1
    labels[1, 3:6, 4:8] = 2
    labels[1, 0, 0] = 255
    inside = torch.ones(2, 6, 8, dtype=torch.bool)
    inside[0, :, 6:] = False
    images = torch.arange(2.0)[:, None, None, None].expand(2, 3, 6, 8)
    mixed = mix_classes(
        images.to(device), sure_of(labels, 4).to(device), inside.to(device)
    )
    pasted = torch.stack([labels[1] == 2, (labels[0] == 1) & inside[0]])
    changed = (mixed.images != images.to(device)).all(1).cpu()
    assert changed.equal(pasted)
    expected = torch.where(
        pasted, labels.roll(-1, 0), labels.where(inside, 255)
    )
    assert mixed.labels.cpu().equal(expected)
    assert mixed.inside.cpu().equal(inside | pasted)
    assert mixed.outline.cpu().equal(outline_of(pasted))


def test_nothing_sure_nothing_pasted():
    images = torch.rand(3, 3, 4, 5)
    flat = torch.full((3, 4, 4, 5), 0.25)
    mixed = mix_classes(images, flat, torch.ones(3, 4, 5, dtype=torch.bool))
    assert mixed.images.equal(images)
    assert (mixed.labels == 255).all()
    assert not mixed.outline.any()
