"""Superpixels of like colour that hold confident pixels (SSR)."""

import cv2
import numpy as np
import pytest
import torch

from mmseg_weakclip.common.region_files import Regions, write_regions
from mmseg_weakclip.models.refine.superpixel_mask import (
    ColorGroups,
    group_by_color,
    superpixel_mask,
)

SIZE = (32, 48)


def naive_mask(cams, groups, confidence, share):
    """Return the mask, pixel by pixel and group by group."""
    batch, classes, rows, columns = cams.shape
    high, wide = groups.shape[1] // rows, groups.shape[2] // columns
    mask = torch.zeros(cams.shape, dtype=torch.bool)
    for b in range(batch):
        for k in range(classes):
            sure = (cams[b, k] >= confidence).repeat_interleave(high, 0)
            sure = sure.repeat_interleave(wide, 1)
            kept = [
                g
                for g in groups[b].unique().tolist()
                if g >= 0
                and sure[groups[b] == g].double().mean() >= share - 1e-12
            ]
            inside = torch.isin(groups[b], torch.tensor(kept).long())
            cells = inside.view(rows, high, columns, wide).double()
            mask[b, k] = cells.mean((1, 3)) > 0.5
            if not mask[b, k].any():
                mask[b, k] = True
    return mask


@pytest.mark.parametrize('share', [0, 0.3, 0.5, 1])
def test_against_the_definition(device, share):
    torch.manual_seed(0)
    cams = torch.rand(3, 2, 4, 6)
    groups = torch.randint(-1, 5, (3, 8, 12)).repeat_interleave(4, 1)
    groups = groups.repeat_interleave(4, 2)
    expected = naive_mask(cams, groups, 0.5, share)
    found = superpixel_mask(
        cams.to(device), groups.to(device), confidence=0.5, share=share
    )
    assert torch.equal(found.cpu(), expected)
    alone = superpixel_mask(cams[1:2], groups[1:2], share=share)
    assert torch.equal(alone, expected[1:2])


def test_by_hand():
    """Left half one group, right half another, and nothing of the last row."""
    groups = torch.zeros(1, 6, 8, dtype=torch.long)
    groups[:, :, 4:] = 1
    groups[:, 4:] = -1
    cams = torch.zeros(1, 2, 3, 4)
    cams[0, 0, 0, 0] = 0.9  # A quarter of the left group.
    cams[0, 0, 2] = 1  # Where there is no group.
    found = superpixel_mask(cams, groups, confidence=0.5, share=0.25)
    assert found[0, 0].tolist() == [[True, True, False, False]] * 2 + [
        [False] * 4
    ]
    # No group holds enough of the second class: it keeps all patches.
    assert found[0, 1].all()
    assert superpixel_mask(cams, groups, share=0.26)[0, 0].all()


def test_colours_join_regions():
    regions = np.array([[0, 0, 1, 1], [2, 2, 3, -1]])
    colors = np.zeros((2, 4, 3))
    colors[regions == 0] = 10
    colors[regions == 3] = 11
    colors[regions == 1] = 50
    colors[regions == 2] = 52
    found = group_by_color(regions, colors, 2)
    assert found[0, 0] == found[1, 2] != found[0, 2] == found[1, 0]
    assert found[1, 3] == -1
    # As many groups as there are colours, at most; one region has one.
    assert len(np.unique(group_by_color(regions, colors, 9))) == 5
    assert set(np.unique(group_by_color(regions * 0, colors, 9))) == {0}
    assert (group_by_color(regions * 0 - 1, colors, 9) == -1).all()


def test_groups_go_where_the_image_goes(tmp_path):
    """Both dark regions are one group, in the flipped image as well."""
    image = np.full((*SIZE, 3), 255, np.uint8)
    image[:, :16] = image[:, 32:] = 0
    photo = tmp_path / '0.png'
    cv2.imwrite(str(photo), image)
    regions = np.zeros(SIZE, int)
    regions[:, 16:32], regions[:, 32:] = 1, 2
    folder = tmp_path / 'regions'
    folder.mkdir()
    made = Regions.of_labels(regions)
    write_regions(folder / '0.json', made, photo, 'by hand')
    metas = [
        dict(img_path=str(photo), ori_shape=SIZE, img_shape=(64, 96), **flip)
        for flip in ({}, dict(flip=True, flip_direction='horizontal'))
    ]
    source = ColorGroups(str(folder), groups=2)
    plain, mirrored = source(metas, (64, 96)).ids
    assert torch.equal(plain.flip(1), mirrored)
    dark, light = plain[0, 0], plain[0, 40]
    assert dark != light
    assert (plain[:, :32] == dark).all()
    assert (plain[:, 64:] == dark).all()
    assert (plain[:, 32:64] == light).all()


def test_values_that_are_refused(tmp_path):
    cams, groups = torch.rand(1, 1, 4, 6), torch.zeros(1, 8, 12).long()
    with pytest.raises(ValueError, match=r'share=1\.5 must be in'):
        superpixel_mask(cams, groups, share=1.5)
    with pytest.raises(ValueError, match='do not divide into 4 x 6 patches'):
        superpixel_mask(cams, groups[:, :7])
    with pytest.raises(ValueError, match='groups=0 must be at least 1'):
        ColorGroups(str(tmp_path), groups=0)
    with pytest.raises(ValueError, match='nowhere does not exist'):
        ColorGroups(str(tmp_path / 'nowhere'))
