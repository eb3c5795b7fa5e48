"""Towers that only configurations from elsewhere describe."""

import json

import open_clip
import pytest
import timm
import torch
from open_clip.timm_model import TimmModel

from mmseg_weakclip.models.clip.vision import VisionTower, find_tower_problem
from mmseg_weakclip.models.clip.vit import CLIPViT
from mmseg_weakclip.models.clip.weights import load_clip


@pytest.fixture
def write_clip(tmp_path):
    """Write a small CLIP with random weights; return its name."""

    def write(**vision) -> str:
        vision = dict(
            dict(image_size=64, patch_size=16, layers=2, width=32), **vision
        )
        text = dict(context_length=8, vocab_size=9, width=32, heads=2)
        model = dict(
            embed_dim=16,
            vision_cfg=dict(vision, head_width=16),
            text_cfg=dict(text, layers=1),
        )
        file = tmp_path / 'open_clip_config.json'
        file.write_text(json.dumps(dict(model_cfg=model)))
        return f'local-dir:{tmp_path}'

    return write


@pytest.mark.parametrize('frozen', [True, False, ['conv1'], 'conv1'])
def test_patches_are_never_dropped(write_clip, tmp_path, frozen):
    """Also in the training of a tower that is not frozen."""
    name = write_clip(patch_dropout=0.5)
    clip = open_clip.create_model(name, load_weights=False)
    torch.save(clip.state_dict(), tmp_path / 'open_clip_pytorch_model.bin')
    vit = CLIPViT(name, None, frozen=frozen, with_tokens=True).train()
    assert vit(torch.randn(2, 3, 64, 64))[0].shape == (2, 32, 4, 4)


@pytest.mark.parametrize(
    ('vision', 'reason'),
    [
        # 2 x 8 patches have as many positions as 4 x 4.
        (dict(image_size=[32, 128]), 'grids of 2 x 8'),
        (dict(image_size=[32, 96]), 'grids of 2 x 6'),
        (dict(patch_size=[16, 32]), 'patches of 16 x 32'),
    ],
)
def test_only_squares(write_clip, vision, reason):
    """The places of patches would be wrong, some without an error."""
    name = write_clip(**vision)
    with pytest.raises(ValueError, match=f'its image tower has {reason}, and'):
        load_clip(name, None)


def test_timm_shapes_and_attention():
    with torch.device('meta'):
        visual = TimmModel('vit_tiny_patch16_224', 16)
        # Blocks of a known kind, whose attention is the difference of two.
        other = TimmModel('vit_dwee_patch16_reg1_gap_256', 16)
        rotary = TimmModel('vit_small_patch16_dinov3', 16)
    assert find_tower_problem(visual) is None
    assert 'a RotaryEmbeddingDinoV3' in find_tower_problem(rotary)
    visual.trunk.patch_embed.grid_size = 2, 8
    assert 'grids of 2 x 8' in find_tower_problem(visual)
    assert "attention ['DiffAttention']" in find_tower_problem(other)


def test_norms_of_frozen_parts_learn_nothing():
    """Those of MobileCLIP's stem keep statistics of images."""
    stem = timm.create_model('vit_base_mci_224', depth=1).patch_embed
    visual = TimmModel('vit_tiny_patch16_224', 16)
    visual.trunk.patch_embed = stem
    tower = VisionTower(visual, frozen=['trunk.patch_embed']).train()
    norms = [
        (name, part)
        for name, part in visual.named_modules()
        if getattr(part, 'running_mean', None) is not None
    ]
    assert norms
    before = [part.running_mean.clone() for _, part in norms]
    tower.parts.patchify(torch.randn(2, 3, 64, 64))
    for (_, part), mean in zip(norms, before):
        assert torch.equal(part.running_mean, mean)
    assert visual.trunk.blocks.training
    assert not tower.eval().module.trunk.blocks.training
