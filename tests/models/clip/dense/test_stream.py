"""The dense stream against its formula, head by head."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS

from mmseg_weakclip.models.clip.dense.presets import build_dense
from mmseg_weakclip.models.clip.dense.stream import DenseStream
from mmseg_weakclip.models.clip.dense.token_layout import gaussian_window
from mmseg_weakclip.models.clip.towers.block import Projected
from mmseg_weakclip.models.clip.towers.open_clip_vit import OpenClipBlock

GRID = (5, 7)
TOKENS = 1 + 5 * 7


def distances(grid):
    """Squared distance of every two patches, class token left out."""
    h, w = grid
    places = [(y, x) for y in range(h) for x in range(w)]
    return torch.tensor(
        [[(a - c) ** 2 + (b - d) ** 2 for c, d in places] for a, b in places]
    ).float()


def naive_map(term, q, k, v, normed, row):
    """A of one image and one head from one term, (N, N)."""
    if term == 'identity':
        return torch.eye(len(v)).to(v)
    if term == 'affinity':
        outside = torch.zeros(len(v), len(v)).to(v)
        outside[0, 0] = 1
        outside[1:, 1:] = row['outside']
        return outside
    left, right = (dict(q=q, k=k, v=v)[letter] for letter in term)
    temperature = row.get('temperature')
    if temperature is None:
        temperature = v.shape[-1] ** 0.5
    elif temperature == 'adaptive':
        mean_length = sum(token.norm() for token in normed) / len(normed)
        temperature = v.shape[-1] ** 0.5 / mean_length

    def unit(x):
        return x / x.norm(dim=-1, keepdim=True) if row['unit_length'] else x

    for _ in range(row['iterations']):
        left = unit(left)
        left = (left @ left.T / temperature).softmax(-1) @ left
        right = left
    scores = unit(left) @ unit(right).T / temperature
    if row['window']:
        scores = scores.clone()
        near = (-distances(GRID) / (2 * row['window'] ** 2)).exp()
        scores[1:, 1:] += near.to(scores)
    return scores.softmax(-1)


def naive_stream(vit, hidden, dense, relation=None, outside=None):
    """One image, one head, one similarity, one block at a time.

    ``relation`` (B, N, N) is added to the map of every head: the second pass
    through CLIP that the linear step makes unnecessary. ``outside`` (B, h *
    w, h * w) is the map of the term 'affinity'.
    """
    dense = dict(vars(dense))
    blocks = vit.tower.blocks
    first = len(blocks) - dense['layers']
    images = []
    for image in range(len(hidden[0])):
        if outside is not None:
            dense['outside'] = outside[image]
        y = hidden[first][image] * dense['residual']
        for index in range(first, len(blocks)):
            block, attn = blocks[index], blocks[index].attn
            normed = block.ln_1(hidden[index][image])
            qkv = F.linear(normed, attn.in_proj_weight, attn.in_proj_bias)
            value = qkv.chunk(3, -1)[2]
            heads = [
                [
                    part.chunk(attn.num_heads, -1)[head]
                    for part in qkv.chunk(3, -1)
                ]
                for head in range(attn.num_heads)
            ]
            maps = []
            for parts in heads:
                total = sum(
                    naive_map(term, *parts, normed, dense)
                    for term in dense['terms']
                )
                if dense['norm'] == 'mean':
                    total = total / len(dense['terms'])
                if relation is not None:
                    total = total + relation[image]
                maps.append(total)
            if dense['heads'] == 'keep':
                mixed = torch.cat(
                    [m @ parts[2] for m, parts in zip(maps, heads)], -1
                )
            else:
                shared = sum(maps)
                if dense['heads'] == 'mean':
                    shared = shared / len(maps)
                mixed = shared @ value
            y = y + attn.out_proj(mixed)
            if dense['ffn']:
                y = y + block.mlp(block.ln_2(y))
        images.append(torch.cat([hidden[-1][image, :1], y[1:]]))
    return torch.stack(images)


@MODELS.register_module()
class NeighbourAffinity(BaseModule):
    """A map from outside: near patches, by the colour of their images."""

    def forward(self, images, grid):
        near = (-distances(grid) / 3).to(images)
        maps = (near + images.mean((1, 2, 3))[:, None, None]).exp()
        return maps.softmax(-1), grid


PROXY = dict(preset='proxy', affinity=dict(type='NeighbourAffinity'))
# What the papers say, not what the table holds.
ROWS = {
    'maskclip': dict(terms=('identity',), residual=False),
    'sclip': dict(terms=('qq', 'kk'), norm='sum', residual=True, ffn=True),
    'clearclip': dict(terms=('qq',), residual=False),
    'naclip': dict(terms=('kk',), window=5.0, residual=False),
    'nacclip': dict(terms=('kk',), window=5.0, residual=False),
    'clip_surgery': dict(layers=6, terms=('vv',), residual=True),
    'gem': dict(
        layers=6,
        terms=('qq', 'kk', 'vv'),
        residual=True,
        unit_length=True,
        iterations=1,
        temperature='adaptive',
    ),
    'excel': dict(layers=5, terms=('qq', 'kk', 'vv'), heads='sum'),
}
SPELT_OUT = [
    dict(layers=1, terms=('qk',)),
    dict(layers=3, terms=('qq', 'kk')),
    dict(layers=2, terms=('vv', 'identity'), heads='mean'),
    dict(layers=6, terms=('qq', 'kk', 'vv'), heads='keep', residual=False),
    dict(layers=2, terms=('kk',), window=1.5, heads='sum'),
    dict(terms=('qk', 'vv'), unit_length=True, temperature=0.2, ffn=True),
    dict(layers=2, terms=('vv',), iterations=2, heads='mean'),
    PROXY,
    dict(PROXY, terms=('affinity', 'kk'), layers=2, heads='sum'),
]


@pytest.fixture
def run(make_vit, device):
    """Tokens of two images that are not square, and the backbone."""

    def run(dense, dtype=None, **options):
        vit = make_vit(
            dense=dense, with_tokens=True, hidden_states=True, **options
        )
        torch.manual_seed(3)
        images = torch.randn(2, 3, 40, 56, device=device)
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            *maps, tokens = vit(images)
        return vit, images, maps, tokens

    return run


@torch.no_grad()
@pytest.mark.parametrize(
    ('dense', 'row'),
    [*ROWS.items(), *((row, row) for row in SPELT_OUT)],
    ids=str,
)
def test_equals_naive_heads(run, dense, row):
    vit, images, _, tokens = run(dense)
    outside = vit.affinity(images, GRID)[0] if vit.affinity else None
    expected = naive_stream(
        vit, tokens.hidden, build_dense(row), outside=outside
    )
    assert torch.allclose(tokens.dense, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('dense', [*ROWS, PROXY], ids=str)
def test_plain_stream_does_not_know_of_it(run, dense):
    plain, ours = run(None), run(dense)
    for one, other in zip(plain[2], ours[2]):
        assert torch.equal(one, other)
    for one, other in zip(plain[3].hidden, ours[3].hidden):
        assert torch.equal(one, other)
    # While its own patches are others.
    assert not torch.allclose(
        plain[3].patch_embeddings, ours[3].patch_embeddings, atol=1e-3
    )


@torch.no_grad()
@pytest.mark.parametrize('dense', [*ROWS, PROXY], ids=str)
def test_bfloat16_is_close(run, dense):
    exact, rough = (run(dense, dtype)[3] for dtype in (None, torch.bfloat16))
    assert torch.isfinite(rough.dense).all()
    similarity = F.cosine_similarity(
        exact.dense.flatten(1), rough.dense.float().flatten(1)
    )
    assert (similarity > 0.99).all()


@torch.no_grad()
@pytest.mark.parametrize('dense', [*ROWS, PROXY], ids=str)
def test_batch_of_one_equals_batch(make_vit, device, dense):
    vit = make_vit(dense=dense, with_tokens=True)
    images = torch.randn(2, 3, 40, 56, device=device)
    together = vit(images)[-1].dense
    for index in range(2):
        alone = vit(images[index : index + 1])[-1].dense[0]
        assert torch.allclose(alone, together[index], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('heads', ['keep', 'mean', 'sum'])
def test_a_relation_needs_no_second_pass(run, device, heads):
    """y + c R U is the stream with R added to every head's map."""
    row = dict(layers=4, terms=('qq', 'vv'), heads=heads)
    vit, _, _, tokens = run(row)
    relation = torch.rand(2, TOKENS, TOKENS, device=device).softmax(-1)
    relation[:, 0] = relation[:, :, 0] = 0
    number = vit.tower.blocks[0].attn.num_heads if heads == 'sum' else 1
    assert tokens.value_scale == number
    ours = tokens.dense + number * relation @ tokens.values
    expected = naive_stream(vit, tokens.hidden, build_dense(row), relation)
    error = (ours - expected).norm() / expected.norm()
    assert error < 1e-5
    # And the relation does change something.
    assert (ours - tokens.dense).norm() / expected.norm() > 1e-2


@torch.no_grad()
def test_nothing_linear_behind_a_feed_forward_part(run):
    assert run('sclip')[3].values is None
    assert run(dict(preset='sclip', ffn=False))[3].values is not None


@torch.no_grad()
@pytest.mark.parametrize(
    ('dense', 'total'),
    [
        (dict(preset='sclip', residual=False, ffn=False), 2),
        (dict(preset='excel', residual=False), 12),
        (dict(preset='excel', residual=False, heads='mean'), 1),
        (dict(preset='gem', residual=False), 1),
        ('naclip', 1),
        ('maskclip', 1),
    ],
    ids=str,
)
def test_row_sums(device, dense, total):
    """Values of one come out as the sum of their row."""
    heads, width = 12, 4
    project = torch.nn.Linear(heads * width, heads * width)
    torch.nn.init.eye_(project.weight)
    torch.nn.init.zeros_(project.bias)
    block = SimpleNamespace(
        attn=SimpleNamespace(out_proj=project.to(device), num_heads=heads),
        ls_1=torch.nn.Identity(),
    )
    x = torch.randn(2, TOKENS, heads * width, device=device)
    qkv = torch.randn(3, 2, heads, TOKENS, width, device=device)
    qkv[2] = 1
    row = build_dense(dense)
    stream = DenseStream(row, row.layers, GRID)
    stream.update(0, OpenClipBlock(block), x, x, Projected(*qkv))
    assert torch.allclose(stream.y, torch.full_like(x, total), atol=1e-4)


@torch.no_grad()
def test_a_window_draws_attention_near(run):
    """A pull to itself alone brings a patch closer to its own value."""
    narrow = dict(terms=('kk',), window=0.1, residual=False)
    plain = dict(terms=('kk',), residual=False)
    itself, pulled, free = (
        run(dense)[3].dense[:, 1:] for dense in ('maskclip', narrow, plain)
    )
    assert (pulled - itself).norm() < (free - itself).norm()


def test_window_by_hand(device):
    window = gaussian_window((2, 3), 5.0, device)
    assert (window[0] == 0).all()
    assert (window[:, 0] == 0).all()
    # From the first patch to the last: one row and two columns.
    assert window[1, 6].item() == pytest.approx(math.exp(-5 / 50))
    assert window[1, 1] == 1


@MODELS.register_module()
class FineAffinity(BaseModule):
    """Patches of half the size, each with those of its own row."""

    def forward(self, images, grid):
        h, w = 2 * grid[0], 2 * grid[1]
        row = torch.arange(h * w, device=images.device) // w
        same = (row[:, None] == row).float() / w
        return same.expand(len(images), -1, -1), (h, w)


@torch.no_grad()
def test_affinity_on_a_grid_of_its_own(run):
    """Values are resized; the map of rows takes their means."""
    dense = dict(preset='proxy', affinity=dict(type='FineAffinity'))
    vit, _, _, tokens = run(dense)
    assert tokens.grid == GRID
    assert tokens.patch_embeddings.shape[2:] == (10, 14)
    assert tokens.values is None
    block = vit.tower.blocks[-1]
    normed = block.ln_1(tokens.hidden[-2])
    weight, bias = block.attn.in_proj_weight, block.attn.in_proj_bias
    value = F.linear(normed, weight[-128:], bias[-128:])[:, 1:]
    maps = value.transpose(1, 2).unflatten(2, GRID)
    fine = F.interpolate(maps, (10, 14), mode='bilinear')
    means = fine.mean(3, keepdim=True).expand_as(fine)
    expected = block.attn.out_proj(means.flatten(2).transpose(1, 2))
    assert torch.allclose(tokens.dense[:, 1:], expected, atol=1e-5)


def test_a_grid_of_its_own_stands_alone(run):
    fine = dict(preset='proxy', affinity=dict(type='FineAffinity'))
    for more in (
        dict(residual=True),
        dict(terms=('affinity', 'kk')),
        dict(layers=2),
    ):
        with pytest.raises(ValueError, match=r'\(10, 14\) patches, CLIP has'):
            run(dict(fine, **more))
