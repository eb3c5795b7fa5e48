"""How much of ExCEL is trained."""

import pytest
from mmengine.config import Config
from mmseg.registry import MODELS


@pytest.fixture
def model(repo):
    path = (
        repo / 'configs/excel/excel_vit-b16_1xb4-30k_voc12-320x320_no-tse.py'
    )
    cfg = Config.fromfile(path).model
    cfg.backbone.pretrained = cfg.decode_head.text.pretrained = None
    return MODELS.build(cfg)


def test_trainable_parameters_of_voc(model):
    """6.3 M: adapter 3.94 M, transformer 2.37 M, classifier 5.4 k."""
    trained = [
        (name, p.numel())
        for name, p in model.named_parameters()
        if p.requires_grad
    ]
    assert sum(number for _, number in trained) == 6_313_237
    assert {name.split('.')[1] for name, _ in trained} == {
        'adapter',
        'decoder',
        'conv_seg',
    }
