"""Masks with mistakes of each kind: what the veto and the CRF make of them."""

import numpy as np
import pytest
from outside_masks import KINDS, damage
from PIL import Image

from mmseg_weakclip.apps.wsss.method_configs import CONFIDENCE
from mmseg_weakclip.apps.wsss.outside.veto import veto
from mmseg_weakclip.common.masks import encode_mask, read_mask
from mmseg_weakclip.evaluation.areas import (
    areas_of,
    class_ious,
    confusion_matrix,
)
from mmseg_weakclip.pseudo_masks.refiner import Refiner
from mmseg_weakclip.pseudo_masks.seed_masks import SeedMaskRefiner
from mmseg_weakclip.pseudo_masks.store import MaskStore
from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.scenes import make_scene

SCENES = 16
CRF = dict(gaussian_sxy=1.0, bilateral_sxy=20.0, bilateral_srgb=13.0)
COUNT = len(CLASSES) + 1


@pytest.fixture(scope='module')
def scenes():
    return [make_scene(7, index, 64) for index in range(SCENES)]


def vetoed(scene, mask, rest='background'):
    labels = {place + 1 for place in scene.labels}
    ids = range(1, COUNT)
    return veto(mask.astype(np.int32), CLASSES, ids, labels, rest)


def score(masks, scenes):
    total = sum(
        confusion_matrix(mask, scene.mask, COUNT)
        for mask, scene in zip(masks, scenes)
    )
    return float(np.nanmean(class_ious(areas_of(total))))


@pytest.mark.parametrize('kind', KINDS)
def test_the_veto_finds_what_labels_can_tell(scenes, kind):
    """Wrong classes, and nothing else."""
    masks = [damage(s.mask, kind, i) for i, s in enumerate(scenes)]
    done = [vetoed(*pair) for pair in zip(scenes, masks)]
    before = score(masks, scenes)
    after = score([found.mask for found in done], scenes)
    if kind == 'wrong class':
        assert after > before + 2
        assert any(found.removed for found in done)
    else:
        assert after == before
        assert not any(found.removed for found in done)
    if kind == 'truth':
        assert after == 100
    absent = sum(bool(found.absent) for found in done)
    assert (absent > 0) == (kind in ('wrong class', 'missing'))


def test_no_background_where_an_object_is_missing(scenes):
    masks = [damage(s.mask, 'missing', i) for i, s in enumerate(scenes)]
    wrong = 0
    for scene, mask in zip(scenes, masks):
        done = vetoed(scene, mask, 'complete')
        sure = done.mask != 255
        np.testing.assert_array_equal(done.mask[sure], scene.mask[sure])
        wrong += int((mask != scene.mask).sum())
    assert wrong > 0


def test_open_holes_are_filled_with_the_right_class(scenes, tmp_path):
    store = MaskStore(tmp_path / 'out')
    store.open({})
    refine = SeedMaskRefiner(
        Refiner(None, CRF, 'auto', CONFIDENCE, 255), CONFIDENCE,
        [[0] * 3] * COUNT, COUNT, str(tmp_path / 'out'),
    )  # fmt: skip
    right = filled = holes = 0
    for index, scene in enumerate(scenes[:3]):
        mask = scene.mask.copy()
        mask[damage(mask, 'holes', index) != mask] = 255
        image, path = tmp_path / f'{index}.png', tmp_path / f'm{index}.png'
        Image.fromarray(scene.image).save(image)
        path.write_bytes(encode_mask(mask, [[0] * 3] * COUNT))
        refine(str(image), path, [0, *(i + 1 for i in scene.labels)])
        found = read_mask(str(store.mask_path(str(index))))[mask == 255]
        right += int((found == scene.mask[mask == 255]).sum())
        filled += int((found != 255).sum())
        holes += len(found)
    assert holes > 300
    assert filled > 0.8 * holes
    assert right > 0.9 * filled
