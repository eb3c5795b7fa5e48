import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.runner.checkpoint import load_state_dict
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_weakclip.models.clip import similarity
from mmseg_weakclip.models.clip.position import interpolate_position
from mmseg_weakclip.models.clip.towers.block import (
    Projected,
    mean_attention,
)
from mmseg_weakclip.models.clip.vision import VisionTower
from mmseg_weakclip.models.clip.vit import CLIPViT
from mmseg_weakclip.models.clip.weights import load_clip


@pytest.fixture
def weights(tmp_path):
    """Some CLIP's weights as a file."""

    torch.manual_seed(1)
    path = tmp_path / 'clip.pt'
    torch.save(load_clip('toyclip', None).state_dict(), path)
    return str(path)


def build(pretrained, **kwargs) -> CLIPViT:
    return CLIPViT(
        'toyclip',
        pretrained,
        out_indices=(1, 2, 3, 5),
        adapter=dict(
            type='PyramidAdapter', channels=128, norm_cfg=dict(type='BN')
        ),
        **kwargs,
    )


def test_frozen_tower_is_left_out_of_checkpoints(weights):
    vit = build(weights)
    names = [name for name in vit.state_dict() if name.startswith('tower.')]
    assert names == ['tower.fingerprint']
    assert any(name.startswith('adapter.') for name in vit.state_dict())


@pytest.mark.parametrize('loader', ['torch', 'mmengine'])
def test_checkpoint_without_tower_loads_back(weights, loader, caplog):
    source, target = build(weights), build(weights)
    for parameter in source.adapter.parameters():
        parameter.data.normal_()
    state = copy.deepcopy(source.state_dict())
    if loader == 'torch':
        target.load_state_dict(state, strict=True)
    else:
        load_state_dict(target, state, strict=True)
    images = torch.randn(1, 3, 64, 64)
    for ours, theirs in zip(target.eval()(images), source.eval()(images)):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize('loader', ['torch', 'mmengine'])
def test_other_clip_weights_are_refused(weights, tmp_path, loader):
    state = build(weights).state_dict()
    other = torch.load(weights)
    other['visual.proj'] = other['visual.proj'] + 1
    torch.save(other, tmp_path / 'other.pt')
    target = build(str(tmp_path / 'other.pt'))
    load = {
        'torch': target.load_state_dict,
        'mmengine': lambda state: load_state_dict(target, state),
    }[loader]
    with pytest.raises(ValueError, match='tower: .* other CLIP weights'):
        load(state)


def test_random_towers_stay_in_checkpoints():
    """Nothing could bring them back."""
    source, target = build(None), build(None)
    images = torch.randn(1, 3, 64, 64)
    assert not torch.equal(source(images)[0], target(images)[0])
    target.load_state_dict(source.state_dict())
    assert torch.equal(source(images)[0], target(images)[0])


def test_full_checkpoint_replaces_the_tower(weights):
    """And is then saved whole, since its name no longer brings it back."""
    source, target = build(None), build(weights)
    state = source.state_dict()
    del state['tower.fingerprint']  # as in a converted checkpoint
    target.load_state_dict(state, strict=True)
    assert not target.tower.left_out
    assert 'tower.module.proj' in target.state_dict()
    assert target.tower.fingerprint == source.tower.fingerprint


def test_missing_weights_of_an_unfrozen_tower_are_reported():
    target = build(None, frozen=False)
    state = target.state_dict()
    del state['tower.module.proj']
    with pytest.raises(RuntimeError, match='tower.module.proj'):
        target.load_state_dict(state)


def test_frozen_tower_is_bit_identical_after_training(weights):
    vit = build(weights).train()
    before = copy.deepcopy(vit.tower.module.state_dict())
    adapter = copy.deepcopy(vit.adapter.state_dict())
    optimizer = torch.optim.AdamW(vit.parameters(), 0.1, weight_decay=0.1)
    for _ in range(3):
        loss = sum(x.square().mean() for x in vit(torch.randn(2, 3, 64, 64)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = vit.tower.module.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    changed = vit.adapter.state_dict()
    assert not any(
        torch.equal(changed[name], adapter[name])
        for name in adapter
        if name.endswith('weight')
    )


def test_position_table_in_two_steps():
    """From the weights' grid to the stored one, then to the image's."""
    torch.manual_seed(0)
    clip = load_clip('toyclip', None).visual
    table = clip.positional_embedding.detach().clone()
    side = int((len(table) - 1) ** 0.5)

    def fit(rows, old, new):
        patches = rows[1:].T.reshape(1, -1, *old)
        patches = F.interpolate(patches, new, mode='bilinear')
        return torch.cat([rows[:1], patches.flatten(2)[0].T])

    stored = (side + 4, side + 4)
    tower = VisionTower(clip, position_grid=stored)
    held = tower.module.positional_embedding
    once = fit(table, (side, side), stored)
    assert torch.allclose(held, once, atol=1e-6)
    assert not held.requires_grad
    twice = fit(once, stored, (5, 7))
    found = interpolate_position(held, (5, 7))
    assert torch.allclose(found, twice, atol=1e-6)
    direct = fit(table, (side, side), (5, 7))
    assert (found - direct).abs().max() > 1e-3
    # On the stored grid there is a single step.
    assert torch.equal(interpolate_position(held, stored), held)


@pytest.mark.parametrize('grid', [(4, 5), (0, 0), (3,)])
def test_position_table_that_is_no_square(grid):
    visual = load_clip('toyclip', None).visual
    with pytest.raises(ValueError, match='as many rows as columns'):
        VisionTower(visual, position_grid=grid)


def test_position_table_is_made_again_when_weights_are_loaded_by_name():
    """A frozen tower is left out of checkpoints, and its table with it."""
    vit = CLIPViT('toyclip', 'toyland', position_grid=(9, 9))
    again = CLIPViT('toyclip', 'toyland', position_grid=(9, 9))
    image = torch.randn(1, 3, 40, 56)
    assert torch.equal(vit(image)[0], again(image)[0])
    plain = CLIPViT('toyclip', 'toyland')
    assert not torch.allclose(vit(image)[0], plain(image)[0], atol=1e-3)


@pytest.mark.parametrize('most', [1, 5 * 25**2, 25 * 25**2, 2**26])
def test_mean_attention_in_parts(device, monkeypatch, most):
    """Whatever fits at a time, of heads or of images."""
    monkeypatch.setattr(similarity, 'MOST_SCORES', most)
    monkeypatch.setattr(similarity, 'MOST_CPU_SCORES', most)
    qkv = Projected(*torch.randn(3, 3, 12, 25, 8, device=device))
    scores = torch.einsum('bhnd,bhmd->bhnm', qkv.query, qkv.key) / 8**0.5
    expected = scores.softmax(-1).mean(1)
    assert torch.allclose(mean_attention(qkv), expected, atol=1e-6)


class Largest(TorchDispatchMode):
    """Knows the largest tensor that is made."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self.numel = max(self.numel, getattr(made, 'numel', int)())
        return made


@pytest.mark.parametrize('size', [(2, 12, 400), (1, 12, 3000)])
def test_mean_attention_of_large_images_is_small(size):
    """As many heads as fit the limit are held at a time, or one."""
    batch, heads, tokens = size
    qkv = Projected(*torch.randn(3, batch, heads, tokens, 8))
    with Largest() as largest:
        mean_attention(qkv)
    most = max(tokens**2, similarity.MOST_CPU_SCORES)
    assert tokens**2 <= largest.numel <= most
