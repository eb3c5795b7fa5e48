"""The published parameter counts (171.5 M, of which 12.4 % are trained)."""

import pytest
from mmengine.config import Config
from mmseg.registry import MODELS

CONFIGS = {
    'weakclip_voc.py': 21_240_853,
    'weakclip_coco.py': 21_317_713,
    'weakclip/weakclip_vit-b16-fpn_4xb6-40k_coco14-512x512_91way.py': (
        21_330_523
    ),
}


def build(path):
    cfg = Config.fromfile(path)
    cfg.model.backbone.pretrained = None
    cfg.model.neck.text.pretrained = None
    return MODELS.build(cfg.model)


@pytest.mark.parametrize(('name', 'expected'), CONFIGS.items())
def test_trainable_parameters(repo, name, expected):
    model = build(repo / 'configs' / name)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == expected


def test_share_of_all_parameters(repo):
    """The published total counts tables cut to the size of their use."""
    model = build(repo / 'configs/weakclip_voc.py')
    parts = model.backbone.tower, model.neck.text.tower
    frozen = sum(p.numel() for part in parts for p in part.parameters())
    # Position embeddings of 14 x 14 patches and 77 tokens here, of 32 x 32
    # patches and 13 tokens there.
    frozen += (32 * 32 - 14 * 14) * 768 - (77 - 13) * 512
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert frozen + trained == 171_464_725
    assert round(100 * trained / (frozen + trained), 1) == 12.4
