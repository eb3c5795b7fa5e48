import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models import build_dense


def naive_stream(
    vit, hidden, layers, terms, heads='keep', residual=True, relation=None
):
    """One head, one similarity, one block at a time, from the formula.

    ``relation`` (B, N, N) is added to the map of every head: the second pass
    through CLIP that the linear step makes unnecessary.
    """
    blocks = vit.tower.blocks
    depth = len(blocks)
    y = hidden[depth - layers].clone() * residual
    for index in range(depth - layers, depth):
        block = blocks[index]
        attn = block.attn
        normed = block.ln_1(hidden[index])
        qkv = F.linear(normed, attn.in_proj_weight, attn.in_proj_bias)
        query, key, value = qkv.chunk(3, -1)
        named = dict(q=query, k=key, v=value)
        width = value.shape[-1] // attn.num_heads
        maps = []
        for head in range(attn.num_heads):
            part = slice(head * width, (head + 1) * width)
            total = 0
            for term in terms:
                if term == 'identity':
                    total = total + torch.eye(normed.shape[1]).to(normed)
                    continue
                left, right = named[term[0]], named[term[1]]
                scores = left[..., part] @ right[..., part].transpose(1, 2)
                total = total + (scores / width**0.5).softmax(-1)
            total = total / len(terms)
            maps.append(total if relation is None else total + relation)
        if heads == 'keep':
            mixed = torch.cat(
                [
                    attention @ value[..., head * width : (head + 1) * width]
                    for head, attention in enumerate(maps)
                ],
                -1,
            )
        else:
            shared = sum(maps) / (len(maps) if heads == 'mean' else 1)
            mixed = shared @ value
        y = y + F.linear(mixed, attn.out_proj.weight, attn.out_proj.bias)
    y[:, 0] = hidden[-1][:, 0]
    return y


ROWS = {
    'maskclip': dict(layers=1, terms=('identity',), residual=False),
    'excel': dict(layers=5, terms=('qq', 'kk', 'vv'), heads='sum'),
}
SPELT_OUT = [
    dict(layers=1, terms=('qk',)),
    dict(layers=3, terms=('qq', 'kk')),
    dict(layers=2, terms=('vv', 'identity'), heads='mean'),
    dict(layers=6, terms=('qq', 'kk', 'vv'), heads='keep', residual=False),
]


@torch.no_grad()
@pytest.mark.parametrize(
    ('dense', 'row'),
    [*ROWS.items(), *((row, row) for row in SPELT_OUT)],
    ids=str,
)
def test_equals_naive_heads(make_vit, device, dense, row):
    vit = make_vit(dense=dense, with_tokens=True, hidden_states=True)
    *_, tokens = vit(torch.randn(2, 3, 40, 56, device=device))
    expected = naive_stream(vit, tokens.hidden, **row)
    assert torch.allclose(tokens.dense, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('heads', ['keep', 'mean', 'sum'])
def test_a_relation_needs_no_second_pass(make_vit, device, heads):
    """y + c R U is the stream with R added to every head's map."""
    row = dict(layers=4, terms=('qq', 'vv'), heads=heads)
    vit = make_vit(dense=row, with_tokens=True, hidden_states=True)
    *_, tokens = vit(torch.randn(2, 3, 40, 56, device=device))
    tokens_count = 1 + 5 * 7
    relation = torch.rand(2, tokens_count, tokens_count, device=device)
    relation = relation.softmax(-1)
    relation[:, 0] = relation[:, :, 0] = 0
    number = vit.tower.blocks[0].attn.num_heads if heads == 'sum' else 1
    ours = tokens.dense + number * relation @ tokens.values
    expected = naive_stream(vit, tokens.hidden, relation=relation, **row)
    error = (ours - expected).norm() / expected.norm()
    assert error < 1e-5
    # And the relation does change something.
    assert (ours - tokens.dense).norm() / expected.norm() > 1e-2


def test_row_sums_of_the_shared_map(make_vit, device):
    """ExCEL sums its heads: rows of 4 heads sum to 4, the mean's to 1."""
    from mmseg_weakclip.models.clip.vision import Projected

    qkv = Projected(*torch.randn(3, 2, 4, 10, 8, device=device))
    excel = build_dense('excel')
    ones = torch.ones(2, 10, device=device)
    assert torch.allclose(excel._shared_map(qkv).sum(-1), 4 * ones)
    mean = build_dense(dict(preset='excel', heads='mean'))
    assert torch.allclose(mean._shared_map(qkv).sum(-1), ones)


def test_presets_can_be_changed():
    changed = build_dense(dict(preset='excel', layers=3))
    assert changed.layers == 3
    assert changed.terms == build_dense('excel').terms
    assert build_dense(None) is None


@pytest.mark.parametrize(
    ('dense', 'message'),
    [
        ('sclipp', r"no dense preset 'sclipp'.*'excel', 'maskclip'"),
        (dict(terms=('qx',)), r"terms=\('qx',\)"),
        (dict(terms=()), r'terms=\(\)'),
        (dict(norm='max'), "norm='max'"),
        (dict(heads='all'), "heads='all'"),
        (dict(layers=0), 'layers=0'),
    ],
)
def test_bad_values(dense, message):
    with pytest.raises(ValueError, match=message):
        build_dense(dense)
