"""Regions of images, as the network sees them."""

import json

import pytest
import torch

from mmseg_weakclip.models.refine.region_source import (
    RegionSource,
    majority_vote,
    smallest_regions,
)


def test_small_regions_are_painted_over_large_ones():
    masks = torch.zeros(3, 2, 4, dtype=torch.bool)
    masks[0, 0, 1] = True
    masks[1, :, :3] = True
    masks[2, :, 2:] = True
    assert smallest_regions(masks).tolist() == [[1, 0, 2, 2], [1, 1, 2, 2]]
    assert smallest_regions(masks[:0]).tolist() == [[-1] * 4] * 2


def test_majority_by_hand(device):
    logits = torch.tensor([[3.0, 3, 0, 0, 5], [1, 2, 4, 1, 1]])
    logits = logits[None, :, None].to(device)
    ids = torch.tensor([[[0, 0, 0, 1, -1]]], device=device)
    found = majority_vote(logits, ids)[0, :, 0].cpu()
    # The third pixel is outvoted; its logits change places.
    assert found.tolist() == [[3, 3, 4, 0, 5], [1, 2, 0, 1, 1]]
    assert torch.equal(majority_vote(logits, ids, [False]), logits)
    nothing = torch.full_like(ids, -1)
    assert torch.equal(majority_vote(logits, nothing), logits)


def test_regions_go_where_the_image_goes(region_folder, region_meta):
    source = RegionSource(str(region_folder))
    flipped = dict(flip=True, flip_direction='horizontal')
    metas = [region_meta(0), region_meta(0, **flipped)]
    plain, mirrored = source(metas, (100, 170)).ids
    expected = torch.full((100, 170), -1)
    expected[:96, :80] = 0
    expected[:32, :32] = 1
    assert torch.equal(plain, expected)
    assert torch.equal(mirrored[:96, :160], expected[:96, :160].flip(1))


def test_images_without_regions(region_folder, region_meta):
    metas = [region_meta(0), region_meta('cat')]
    with pytest.raises(ValueError, match=r'image cat has no regions.*skip'):
        RegionSource(str(region_folder))(metas, (96, 160))
    found = RegionSource(str(region_folder), missing='skip')(metas, (96, 160))
    assert found.known == [True, False]
    assert not found.ids[1].any()


def test_logits_of_another_size(region_folder, region_meta):
    """An average of views may take the image for smaller than it is."""
    source = RegionSource(str(region_folder))
    smaller = region_meta(0, true_shape=(48, 80), ori_shape=(24, 40))
    found, expected = (
        source([meta], (96, 160)).ids for meta in (smaller, region_meta(0))
    )
    assert torch.equal(found, expected)


def test_regions_of_another_image(region_folder, region_meta):
    with pytest.raises(ValueError, match=r'regions of \(48, 80\) pixels'):
        RegionSource(str(region_folder))(
            [region_meta(0, ori_shape=(10, 20))], (96, 160)
        )
    content = json.loads((region_folder / '0.json').read_text())
    content['image'] = 'another'
    (region_folder / '0.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='another image'):
        RegionSource(str(region_folder))([region_meta(0)], (96, 160))
    with pytest.raises(ValueError, match='does not exist'):
        RegionSource(str(region_folder / 'nowhere'))
    with pytest.raises(ValueError, match="missing='ignore'"):
        RegionSource(str(region_folder), missing='ignore')
