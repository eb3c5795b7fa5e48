"""Parts and toyland are registered before any test of the models."""

import pytest
import torch

import mmseg_weakclip.parts  # noqa: F401
from mmseg_weakclip.models.clip.vit import CLIPViT


@pytest.fixture
def make_vit(device):
    """CLIPViT over toyland's model with random weights, seeded."""

    def make(**kwargs) -> CLIPViT:
        torch.manual_seed(0)
        kwargs = dict(dict(model='toyclip', pretrained=None), **kwargs)
        return CLIPViT(**kwargs).to(device).eval()

    return make
