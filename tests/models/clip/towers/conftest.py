from collections.abc import Callable
from functools import cache

import pytest
import torch
from tiny_clips import tiny_clips
from torch import nn

from mmseg_weakclip.models.clip.weights import load_clip


@pytest.fixture(scope='session')
def tiny() -> Callable[[str], nn.Module]:
    """Build a model of open_clip in small, no parameter as initialised.

    The model is shared by all tests.
    """

    @cache
    def build(name: str) -> nn.Module:
        torch.manual_seed(0)
        with tiny_clips(name):
            clip = load_clip(name, None).eval()
        for parameter in clip.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        return clip.requires_grad_(requires_grad=False)

    return build
