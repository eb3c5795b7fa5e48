"""CAMs whose confident superpixels alone give to other patches (SSR)."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.common.region_files import Regions, write_regions
from mmseg_weakclip.models.cam.patch_text_cam import PatchTextCAMHead
from mmseg_weakclip.models.refine.boxes import box_mask
from mmseg_weakclip.models.refine.cam import normalize_cam
from mmseg_weakclip.models.refine.superpixel_mask import superpixel_mask

SIZE = (40, 56)


@pytest.fixture
def superpixels(tmp_path):
    """Columns of three colours, of which the first and last are alike."""
    image = np.full((*SIZE, 3), 255, np.uint8)
    image[:, :16] = image[:, 40:] = 0
    cv2.imwrite(str(tmp_path / '0.png'), image)
    columns = np.repeat([0, 1, 2], (16, 24, 16))[None].repeat(SIZE[0], 0)
    folder = tmp_path / 'regions'
    folder.mkdir()
    made = Regions.of_labels(columns)
    write_regions(folder / '0.json', made, tmp_path / '0.png', 'by hand')
    return dict(folder=str(folder), missing='skip', groups=2, share=0.72)


@pytest.fixture
def metas(tmp_path):
    shapes = dict(ori_shape=SIZE, img_shape=SIZE, image_labels=(1, 3))
    return [
        dict(shapes, img_path=str(tmp_path / f'{name}.png')) for name in '01'
    ]


@pytest.fixture
def make_head(text_cfg, device):
    def make(**options):
        torch.manual_seed(1)
        head = PatchTextCAMHead(4, text_cfg, dict(threshold=0.3), **options)
        return head.to(device).eval()

    return make


@torch.no_grad()
@pytest.mark.parametrize('box_threshold', [None, 0.4])
def test_givers(
    make_head, make_features, superpixels, metas, device, box_threshold
):
    inputs = make_features(dense='naclip', attention_layers=3)
    affinity = dict(box_threshold=box_threshold)
    head = make_head(affinity=affinity, superpixels=superpixels)
    plain = make_head(affinity=affinity)
    found = head.predict(inputs, metas, {})[:, 1:]
    before = plain.predict(inputs, metas, {})[:, 1:]
    # The second image has no regions.
    assert torch.equal(found[1], before[1])
    assert not torch.allclose(found[0], before[0])

    cams = make_head()(inputs)
    groups = head.color_groups(metas, SIZE, device).ids
    givers = superpixel_mask(cams, groups, share=0.72)
    assert not givers[0].all()
    if box_threshold is not None:
        givers &= box_mask(cams, box_threshold)
    spread = make_head(affinity=dict(box_threshold=None)).affinity(
        cams * givers, inputs[-1]
    )
    expected = F.interpolate(normalize_cam(spread), SIZE, mode='bilinear')
    assert torch.allclose(found[:, [0, 2]], expected[:, [0, 2]], atol=1e-5)
    assert not found[:, 1].any()


def test_what_superpixels_need(make_head, superpixels):
    with pytest.raises(ValueError, match='set affinity as well'):
        make_head(superpixels=superpixels)
    with pytest.raises(ValueError, match='leave one of them out'):
        make_head(
            superpixels=superpixels,
            affinity=dict(box_threshold=None),
            transport={},
        )
