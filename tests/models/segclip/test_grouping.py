import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.segclip.grouping import (
    SemanticGroup,
    SemanticGroupNeck,
    mean_values,
)


@pytest.fixture
def make_group(device):
    def make(**kwargs) -> SemanticGroup:
        torch.manual_seed(0)
        options = dict(channels=16, num_centers=3, num_heads=2)
        group = SemanticGroup(**dict(options, **kwargs))
        return group.to(device).eval()

    return make


def attention(module, query, keys, dim):
    """Multi-head attention by the formula, a head at a time."""
    wq, wk, wv = module.in_proj_weight.split(dim)
    bq, bk, bv = module.in_proj_bias.split(dim)
    q, k, v = query @ wq.T + bq, keys @ wk.T + bk, keys @ wv.T + bv
    size = dim // module.num_heads
    heads = []
    for h in range(module.num_heads):
        cut = slice(h * size, (h + 1) * size)
        scores = (q[:, cut] @ k[:, cut].T / size**0.5).softmax(-1)
        heads.append(scores @ v[:, cut])
    return module.out_proj(torch.cat(heads, 1))


def one_image(group: SemanticGroup, patches):
    """The spec's formulas for one image, patches (N, D)."""
    dim = patches.shape[1]
    q = group.centers
    for block in group.blocks:
        seen = torch.cat([q, patches]) if block.with_centers else patches
        q = q + attention(
            block.attention, block.query_norm(q), block.key_norm(seen), dim
        )
        hidden = block.mlp[0](block.mlp_norm(q))
        q = q + block.mlp[2](hidden * torch.sigmoid(1.702 * hidden))
    q = group.center_norm(q)
    x = group.patch_norm(patches)
    size = dim // group.key.groups
    parts = [slice(i * size, (i + 1) * size) for i in range(group.key.groups)]
    project = lambda conv: torch.cat(  # noqa: E731
        [x[:, part] @ conv.weight[part, :, 0].T for part in parts], 1
    )
    keys, values = group.key_norm(project(group.key)), project(group.value)
    logits = q @ keys.T / group.divisor
    best = logits.argmax(0)
    regions = []
    for g in range(len(q)):
        mine = values[best == g]
        mean = mine.mean(0) if len(mine) else torch.zeros_like(values[0])
        regions.append(q[g] + mean)
    hidden = group.group_mlp[0](group.group_norm(torch.stack(regions)))
    out = group.group_mlp[2](F.gelu(hidden))
    return logits, best, out * torch.sigmoid(1.702 * out)


@pytest.mark.parametrize('scale', [None, 'sqrt_dim'])
@pytest.mark.parametrize('with_centers', [True, False])
def test_formulas(make_group, device, scale, with_centers):
    group = make_group(scale=scale, with_centers=with_centers)
    patches = torch.randn(3, 11, 16, device=device)
    groups = group(patches)
    for index in range(3):
        logits, best, tokens = one_image(group, patches[index])
        assert torch.allclose(groups.logits[index], logits, atol=1e-4)
        assert torch.equal(groups.hard[index].argmax(0), best)
        assert torch.allclose(groups.tokens[index], tokens, atol=1e-5)


def test_images_do_not_see_each_other(make_group, device):
    """The published training mixed them."""
    group = make_group()
    patches = torch.randn(4, 9, 16, device=device)
    before = group(patches)
    changed = patches.clone()
    changed[2] = torch.randn(9, 16, device=device)
    after = group(changed)
    for name in ('tokens', 'logits', 'hard', 'soft'):
        ours, theirs = getattr(before, name), getattr(after, name)
        for index in (0, 1, 3):
            assert torch.equal(ours[index], theirs[index]), name
        assert not torch.equal(ours[2], theirs[2])


def test_batch_of_one_equals_batch(make_group, device):
    group = make_group()
    patches = torch.randn(3, 20, 16, device=device)
    together = group(patches)
    for index in range(3):
        alone = group(patches[index : index + 1])
        assert torch.allclose(
            alone.tokens[0], together.tokens[index], atol=1e-5
        )
        assert torch.equal(alone.hard[0], together.hard[index])


def test_order_of_patches_does_not_matter(make_group, device):
    group = make_group()
    patches = torch.randn(2, 20, 16, device=device)
    order = torch.randperm(20, device=device)
    straight, mixed = group(patches), group(patches[:, order])
    assert torch.allclose(straight.tokens, mixed.tokens, atol=1e-5)
    assert torch.equal(straight.hard[..., order], mixed.hard)


@pytest.mark.parametrize('hard', [True, False])
def test_gradient_reaches_everything(make_group, device, hard):
    group = make_group(hard=hard).train()
    patches = torch.randn(2, 30, 16, device=device, requires_grad=True)
    group(patches).tokens.square().sum().backward()
    assert patches.grad.abs().max() > 0
    for name, parameter in group.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_gradient_is_finite_with_empty_groups(make_group, device):
    """Equal patches are all in one group."""
    group = make_group(num_centers=8).train()
    patches = torch.ones(1, 5, 16, device=device)
    groups = group(patches)
    assert (groups.hard.sum(-1) == 0).sum() >= 3
    groups.tokens.sum().backward()
    worst = max(p.grad.abs().max() for p in group.parameters())
    assert worst < 1e4


def test_training_draws_groups_and_evaluation_does_not(make_group, device):
    group = make_group(scale='sqrt_dim')
    with torch.no_grad():
        group.center_norm.weight.mul_(0.05)  # all nearly equal
    patches = torch.randn(1, 200, 16, device=device)
    assert torch.equal(group(patches).hard, group(patches).hard)
    group.train()
    assert not torch.equal(group(patches).hard, group(patches).hard)
    group.tau = None
    assert torch.equal(group(patches).hard, group(patches).hard)


def test_mean_values_by_hand(device):
    assignment = torch.tensor(
        [[[1.0, 0, 1], [0, 1, 0], [0, 0, 0]]], device=device
    )
    values = torch.tensor([[[2.0, 7.0, 4.0]]], device=device)
    assert mean_values(assignment, values, 1).flatten().tolist() == [3, 7, 0]
    shares = torch.tensor([[[0.25, 0.0, 0.25]]], device=device)
    assert mean_values(shares, values, 1e-6).item() == pytest.approx(3)


def test_published_size_and_saturation():
    """19.0 M parameters; the softmax starts nearly one-hot."""
    group = SemanticGroup(768).eval()
    assert sum(p.numel() for p in group.parameters()) == 19_011_840
    groups = group(torch.randn(2, 196, 768))
    assert groups.logits.std().item() == pytest.approx(28, abs=2)
    assert groups.soft.amax(1).mean() > 0.9
    scaled = SemanticGroup(768, scale='sqrt_dim').eval()
    assert scaled(torch.randn(2, 196, 768)).soft.amax(1).mean() < 0.6


def test_bfloat16_keeps_assignments_exact(make_group, device):
    group = make_group(channels=128, num_centers=8)
    patches = torch.randn(2, 50, 128, device=device)
    with torch.autocast(device.type, torch.bfloat16):
        groups = group(patches)
    assert groups.logits.dtype == groups.hard.dtype == torch.float32
    assert set(groups.hard.unique().tolist()) == {0.0, 1.0}
    assert groups.tokens.isfinite().all()


def test_neck_paints_groups_back(device):
    torch.manual_seed(0)
    neck = SemanticGroupNeck(channels=16, num_centers=3).to(device).eval()
    first, last = torch.randn(2, 8, 10, 14), torch.randn(2, 16, 5, 7)
    same, mixed = neck((first.to(device), last.to(device)))
    assert torch.equal(same.cpu(), first)
    groups = neck.group(last.to(device).flatten(2).mT)
    best = groups.hard.argmax(1)
    for image, row, column in ((0, 0, 0), (1, 4, 6), (1, 2, 3)):
        token = groups.tokens[image, best[image, row * 7 + column]]
        added = (
            mixed[image, :, row, column].cpu() - last[image, :, row, column]
        )
        assert torch.allclose(added, token.cpu(), atol=1e-5)


def test_bad_values():
    with pytest.raises(ValueError, match="scale='sqrt'"):
        SemanticGroup(16, scale='sqrt')
    with pytest.raises(ValueError, match='tau=0'):
        SemanticGroup(16, tau=0)
    with pytest.raises(ValueError, match='channels=16 a multiple'):
        SemanticGroup(16, num_heads=3)
    with pytest.raises(ValueError, match='num_centers=0'):
        SemanticGroup(16, num_centers=0)
    neck = SemanticGroupNeck(channels=16)
    with pytest.raises(ValueError, match='the last feature map has 8'):
        neck((torch.zeros(1, 8, 2, 2),))
