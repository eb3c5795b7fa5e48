"""Parts and toyland are registered before any test of the models."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import mmseg_weakclip.parts  # noqa: F401
from mmseg_weakclip.common.region_files import Regions, write_regions
from mmseg_weakclip.models.clip.vit import CLIPViT


@pytest.fixture
def make_vit(device):
    """CLIPViT over toyland's model with random weights, seeded."""

    def make(**kwargs) -> CLIPViT:
        torch.manual_seed(0)
        kwargs = dict(dict(model='toyclip', pretrained=None), **kwargs)
        return CLIPViT(**kwargs).to(device).eval()

    return make


REGIONS_SIZE = (48, 80)


@pytest.fixture
def region_folder(tmp_path) -> Path:
    """Regions of 0.jpg, 48 x 80: its left half, and a corner of it."""
    masks = torch.zeros(2, *REGIONS_SIZE, dtype=torch.bool)
    masks[0, :, :40] = True
    masks[1, :16, :16] = True
    photo = tmp_path / '0.jpg'
    photo.write_bytes(b'a photo')
    path = tmp_path / 'regions/0.json'
    path.parent.mkdir()
    regions = Regions.of_masks(list(masks.numpy()), REGIONS_SIZE)
    write_regions(path, regions, photo, 'by hand')
    return path.parent


@pytest.fixture
def region_meta(region_folder) -> Callable[..., dict]:
    """Metas of the images beside the regions, at twice their size."""

    def make(name: int | str, **options) -> dict:
        path = str(region_folder.parent / f'{name}.jpg')
        shapes = dict(ori_shape=REGIONS_SIZE, img_shape=(96, 160))
        return dict(shapes, img_path=path) | options

    return make
