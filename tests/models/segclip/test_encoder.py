"""GroupingCLIPViT, and the old spelling of it."""

import copy
import logging
import pickle

import pytest
import torch
from mmengine.logging import MMLogger
from mmseg.registry import MODELS

from mmseg_weakclip.models.clip import vit as vit_module
from mmseg_weakclip.models.clip.vit import CLIPViT
from mmseg_weakclip.models.segclip.encoder import GroupingCLIPViT


def test_patches_groups_regions(make_backbone, device):
    """Against the blocks run by hand."""
    vit = make_backbone()
    images = torch.randn(2, 3, 48, 80, device=device)
    features, regions = vit(images)
    x, grid = vit.tower.stem(images)
    assert grid == regions.grid == (6, 10)
    x = x[:, 1:]
    blocks = vit.tower.attention_blocks(None)
    for block in blocks[:5]:
        x = block.run(x)
    assert torch.allclose(features.flatten(2).mT, x, atol=1e-5)
    tokens = vit.group(x).tokens
    tokens = blocks[5].run(tokens)
    expected = vit.tower.embed(tokens)
    assert torch.allclose(regions.region_embeddings, expected, atol=1e-5)
    whole = vit.tower.embed(tokens.max(1).values)
    assert torch.allclose(regions.image_embedding, whole, atol=1e-5)


def test_isolated_regions_do_not_see_each_other(make_backbone, device):
    """Each is what it would be alone; the image is still the largest."""
    images = torch.randn(2, 3, 48, 80, device=device)
    regions = make_backbone(isolated_regions=True)(images)[-1]
    vit = make_backbone()
    last = vit.tower.attention_blocks(None)[5]
    tokens = regions.groups.tokens
    for index in range(8):
        alone = last.run(tokens[:, index : index + 1])
        ours = regions.region_embeddings[:, index]
        assert torch.allclose(ours, vit.tower.embed(alone)[:, 0], atol=1e-5)
    blocks = [last.run(token[:, None]) for token in tokens.unbind(1)]
    whole = vit.tower.embed(torch.cat(blocks, 1).amax(1))
    assert torch.allclose(regions.image_embedding, whole, atol=1e-5)
    together = vit(images)[-1].region_embeddings
    assert not torch.allclose(regions.region_embeddings, together, atol=1e-2)


def test_no_class_token_takes_part(make_backbone, device):
    vit = make_backbone()
    images = torch.randn(1, 3, 32, 32, device=device)
    before = vit(images)[-1].region_embeddings
    with torch.no_grad():
        vit.tower.module.class_embedding.fill_(3)
    assert torch.equal(vit(images)[-1].region_embeddings, before)


@pytest.mark.parametrize('size', [(97, 65), (8, 8), (40, 136)])
def test_any_size(make_backbone, device, size):
    regions = make_backbone()(torch.randn(2, 3, *size, device=device))[-1]
    grid = size[0] // 8, size[1] // 8
    assert regions.grid == grid
    assert regions.groups.hard.shape == (2, 8, grid[0] * grid[1])


def test_images_do_not_see_each_other(make_backbone, device):
    vit = make_backbone()
    images = torch.randn(3, 3, 48, 48, device=device)
    before = vit(images)[-1]
    images[1] = torch.randn(3, 48, 48, device=device)
    after = vit(images)[-1]
    for index in (0, 2):
        for name in ('image_embedding', 'region_embeddings'):
            ours, theirs = getattr(before, name), getattr(after, name)
            assert torch.equal(ours[index], theirs[index])
    assert not torch.equal(before.image_embedding[1], after.image_embedding[1])
    alone = vit(images[:1])[-1]
    assert torch.allclose(
        alone.image_embedding, after.image_embedding[:1], atol=1e-5
    )


def test_frozen_parts_have_no_gradient(make_backbone, device):
    parts = ('conv1', 'class_embedding', 'positional_embedding', 'ln_pre')
    vit = make_backbone(frozen=parts).train()
    vit(torch.randn(2, 3, 32, 32, device=device))[
        -1
    ].image_embedding.sum().backward()
    names = {
        n for n, p in vit.tower.module.named_parameters() if p.grad is None
    }
    frozen = {
        n
        for n, p in vit.tower.module.named_parameters()
        if n.split('.')[0] in parts
    }
    assert names == frozen
    assert frozen
    assert vit.group.centers.grad.abs().max() > 0


def test_frozen_tower_still_trains_the_group(make_backbone, device):
    vit = make_backbone(frozen=True).train()
    regions = vit(torch.randn(2, 3, 32, 32, device=device))[-1]
    regions.region_embeddings.sum().backward()
    assert vit.group.centers.grad.abs().max() > 0
    assert all(p.grad is None for p in vit.tower.parameters())
    assert not regions.patches.requires_grad


def test_checkpoint_goes_around(make_backbone, device):
    vit = make_backbone()
    images = torch.randn(1, 3, 32, 48, device=device)
    expected = vit(images)[-1].region_embeddings
    with torch.no_grad():
        for p in vit.parameters():
            p.add_(0.01)
    other = make_backbone()
    other.load_state_dict(make_backbone().state_dict())
    assert torch.equal(other(images)[-1].region_embeddings, expected)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(group_after=None), 'needs both group'),
        (dict(group_after=6, out_indices=(4,)), 'group_after=6'),
        (dict(group_after=4, out_indices=(4,)), 'group_after=4'),
        (dict(out_indices=(-1,)), 'group_after=5'),
        (dict(dense='sclip'), 'class token'),
        (dict(hidden_states=True), 'class token'),
        (dict(attention_layers=1), 'class token'),
        (dict(frozen=('conv1', 'stem')), "no part 'stem'"),
    ],
)
def test_bad_options(make_backbone, options, message):
    with pytest.raises(ValueError, match=message):
        make_backbone(**options)


OLD_CONFIG = dict(
    type='CLIPViT',
    model='toyclip',
    pretrained=None,
    out_indices=(4,),
    group=dict(type='SemanticGroup', channels=128, num_heads=4),
    group_after=5,
    isolated_regions=True,
    adapter=dict(type='PyramidAdapter', channels=128),
    frozen=False,
    with_tokens=True,
)


@pytest.fixture
def notices(monkeypatch):
    """Warnings of the log, as if the notice had not been given yet."""
    vit_module._warn_about_group.cache_clear()
    messages = []

    def log(level: int, message: str) -> None:
        if level >= logging.WARNING:
            messages.append(message)

    monkeypatch.setattr(MMLogger.get_current_instance(), 'log', log)
    return messages


def test_old_configs_build_the_same(notices):
    models = []
    for name in ('CLIPViT', 'CLIPViT', 'GroupingCLIPViT'):
        torch.manual_seed(0)
        models.append(MODELS.build(dict(OLD_CONFIG, type=name)).eval())
    assert {type(model) for model in models} == {GroupingCLIPViT}
    assert len(notices) == 1
    assert "write type='GroupingCLIPViT'" in notices[0]
    old, _, new = (model.state_dict() for model in models)
    assert list(old) == list(new)
    assert all(torch.equal(old[name], new[name]) for name in new)
    # Optimiser states number the parameters.
    tops = [name.split('.')[0] for name, _ in models[0].named_parameters()]
    assert list(dict.fromkeys(tops)) == ['tower', 'group', 'adapter']


def test_plain_clip_gives_no_notice(notices):
    vit = CLIPViT('toyclip', None)
    assert type(vit) is CLIPViT
    assert not notices
    assert not hasattr(vit, 'group')


def test_copies(make_backbone):
    vit = make_backbone(isolated_regions=True)
    for other in (copy.deepcopy(vit), pickle.loads(pickle.dumps(vit))):
        assert type(other) is GroupingCLIPViT
        assert other.group_after == 5
        assert other.isolated_regions
