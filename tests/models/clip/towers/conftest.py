import pytest
import torch
from tiny_clips import use_tiny_clips

from mmseg_weakclip.models.clip.weights import load_clip


@pytest.fixture
def tiny(monkeypatch):
    """Build a model of open_clip in small, no parameter as initialised."""
    use_tiny_clips(monkeypatch)

    def build(name):
        torch.manual_seed(0)
        clip = load_clip(name, None).eval()
        for parameter in clip.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        return clip

    return build
