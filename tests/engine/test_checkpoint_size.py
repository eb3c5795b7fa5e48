"""What a checkpoint of the published WeakCLIP weighs."""

import io

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_weakclip.models.clip import text_bank, vit, weights


@pytest.fixture
def reloadable_clip(monkeypatch) -> None:
    """Random weights in place of those that are fetched by name."""

    def build(model, pretrained):
        assert pretrained is not None
        return weights.load_clip(model, None)

    for module in (text_bank, vit):
        monkeypatch.setattr(module, 'load_clip', build)


def test_towers_do_not_travel(repo, reloadable_clip):
    cfg = Config.fromfile(repo / 'configs/weakclip_voc.py')
    model = MODELS.build(cfg.model)
    state = model.state_dict()
    assert not any('tower.module' in name for name in state)
    file = io.BytesIO()
    torch.save(state, file)
    # 21,240,853 trained parameters in float32, and the statistics of norms.
    assert 4 * 21_240_853 < len(file.getbuffer()) < 85.5e6
