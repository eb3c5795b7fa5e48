import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.clip.tokens import CLIPTokens
from mmseg_weakclip.models.weakclip.co_attention import (
    Attention,
    CoAttention,
    CoAttentionNeck,
    DecoderLayer,
)

NAMES = ('background', 'boat', 'bird')
TEXT = dict(type='PromptText', model='toyclip', pretrained=None, names=NAMES)


def make_neck(device, **kwargs):
    torch.manual_seed(0)
    kwargs = dict(
        dict(
            num_classes=3,
            in_channels=[8, 8],
            text=TEXT,
            embed_dim=64,
            co_attention=dict(width=16, heads=2),
        ),
        **kwargs,
    )
    return CoAttentionNeck(**kwargs).to(device).eval()


def make_inputs(device, batch=2):
    tokens = CLIPTokens(
        grid=(3, 5),
        class_embedding=torch.randn(batch, 64, device=device),
        patch_embeddings=torch.randn(batch, 64, 3, 5, device=device),
        hidden=(),
        dense=None,
        values=None,
        value_scale=1,
        attention=None,
        tower=None,
    )
    levels = [
        torch.randn(batch, 8, 12, 20, device=device),
        torch.randn(batch, 8, 3, 5, device=device),
    ]
    return levels, tokens


def naive_layer(layer, x, memory):
    """Pre-norm attention written out, one head at a time."""

    def attend(module, query, memory):
        q, k, v = (
            module.q_proj(query),
            module.k_proj(memory),
            module.v_proj(memory),
        )
        width = q.shape[-1] // module.heads
        heads = []
        for head in range(module.heads):
            part = slice(head * width, (head + 1) * width)
            scores = q[..., part] @ k[..., part].transpose(1, 2)
            heads.append((scores / width**0.5).softmax(-1) @ v[..., part])
        return module.proj(torch.cat(heads, -1))

    x = x + attend(layer.self_attn, layer.norm1(x), layer.norm1(x))
    x = x + attend(layer.cross_attn, layer.norm2(x), memory)
    return x + layer.mlp(layer.norm3(x))


@torch.no_grad()
def test_dropout_follows_each_projection(device):
    """As published: values after the projection are doubled or zero at .5."""
    torch.manual_seed(0)
    attention = Attention(16, 2, 0.5).to(device)
    query = torch.randn(4, 30, 16, device=device)
    memory = torch.randn(4, 7, 16, device=device)
    expected = attention.eval()(query, memory)
    found = attention.train()(query, memory)
    kept = found != 0
    assert 0.4 < kept.float().mean() < 0.6
    assert torch.allclose(found[kept], 2 * expected[kept], atol=1e-6)


@torch.no_grad()
def test_a_layer_that_drops_all_changes_nothing(device):
    """Both attentions and the MLP: no branch goes around the dropout."""
    layer = DecoderLayer(16, 2, 1.0).to(device).train()
    query = torch.randn(2, 5, 16, device=device)
    memory = torch.randn(2, 7, 16, device=device)
    assert torch.equal(layer(query, memory), query)
    assert not torch.allclose(layer.eval()(query, memory), query, atol=1e-3)


def test_ratio_of_the_dropout():
    """Two in the attentions and two in the MLP of six layers, .1 each."""
    ratios = [
        module.p
        for module in CoAttention(64, width=16, heads=2).modules()
        if isinstance(module, torch.nn.Dropout)
    ]
    assert ratios == [0.1] * 24


@torch.no_grad()
@pytest.mark.parametrize('chained', [True, False])
def test_equals_naive_co_attention(device, chained):
    torch.manual_seed(0)
    module = CoAttention(64, width=16, heads=2, chained=chained)
    module = module.to(device).eval()
    text = torch.randn(2, 3, 64, device=device)
    visual = torch.randn(2, 16, 64, device=device)
    t, v = module.text_proj(text), module.memory_proj(visual)
    x, y = t, v
    for ours, theirs in zip(module.decoder, module.anti_decoder):
        # The published loop feeds the first input to every layer.
        x = naive_layer(ours, x if chained else t, v)
        y = naive_layer(theirs, y if chained else v, t)
    text_change, visual_change = module(text, visual)
    assert torch.allclose(text_change, module.out_proj(x), atol=1e-5)
    assert torch.allclose(visual_change, module.anti_out_proj(y), atol=1e-5)


@pytest.mark.parametrize('chained', [True, False])
def test_which_layers_are_alive(chained):
    module = CoAttention(64, width=16, heads=2, chained=chained)
    out = module(torch.randn(1, 3, 64), torch.randn(1, 16, 64))
    sum(x.square().sum() for x in out).backward()
    dead = [name for name, p in module.named_parameters() if p.grad is None]
    layers = {name.split('.')[1] for name in dead}
    assert layers == (set() if chained else {'0', '1'})


@torch.no_grad()
def test_score_map_is_a_cosine(device):
    neck = make_neck(device)
    levels, tokens = make_inputs(device)
    *_, score = neck((*levels, tokens))
    assert score.shape == (2, 3, 3, 5)
    text = neck.text().expand(2, -1, -1)
    visual = torch.cat(
        [
            tokens.class_embedding[:, None],
            tokens.patch_embeddings.flatten(2).transpose(1, 2),
        ],
        1,
    )
    text_change, visual_change = neck.co_attention(text, visual)
    pixels = (visual + 0.1 * visual_change)[:, 1:]
    expected = F.cosine_similarity(
        (text + 0.1 * text_change)[:, :, None], pixels[:, None], dim=-1
    )
    assert torch.allclose(score, expected.unflatten(2, (3, 5)), atol=1e-5)


@torch.no_grad()
def test_score_is_concatenated_to_every_level(device):
    neck = make_neck(device)
    levels, tokens = make_inputs(device)
    *out, score = neck((*levels, tokens))
    for before, after in zip(levels, out):
        assert torch.equal(after[:, :8], before)
        expected = F.interpolate(
            score, before.shape[2:], mode='bilinear', align_corners=True
        )
        assert torch.equal(after[:, 8:], expected)


@torch.no_grad()
def test_batch_of_one_equals_batch(device):
    neck = make_neck(device)
    levels, tokens = make_inputs(device)
    *_, together = neck((*levels, tokens))
    tokens.class_embedding = tokens.class_embedding[1:]
    tokens.patch_embeddings = tokens.patch_embeddings[1:]
    *_, alone = neck((*(x[1:] for x in levels), tokens))
    assert torch.allclose(alone[0], together[1], atol=1e-6)


def test_inner_neck_gets_its_channels(device):
    neck = make_neck(device, neck=dict(type='FPN', out_channels=4, num_outs=2))
    levels, tokens = make_inputs(device)
    *out, score = neck((*levels, tokens))
    assert [x.shape[1] for x in out] == [4, 4]
    assert neck.neck.in_channels == [11, 11]


def test_projection_for_other_backbones(device):
    neck = make_neck(device, projection=True)
    levels, _ = make_inputs(device)
    *out, score = neck(levels)
    assert score.shape == (2, 3, 3, 5)
    score.sum().backward()
    assert neck.projection.weight.grad.abs().sum() > 0


def test_score_is_float32_under_autocast(device):
    neck = make_neck(device)
    levels, tokens = make_inputs(device)
    with torch.autocast(device.type, torch.bfloat16):
        *_, score = neck((*levels, tokens))
    assert score.dtype == torch.float32
    assert score.abs().max() <= 1 + 1e-5


def test_bad_input(device):
    levels, tokens = make_inputs(device)
    with pytest.raises(ValueError, match='num_classes=4, .*has 3 rows.*boat'):
        make_neck(device, num_classes=4)((*levels, tokens))
    with pytest.raises(ValueError, match='with_tokens=True'):
        make_neck(device)(levels)
