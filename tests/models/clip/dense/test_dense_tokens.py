"""Options of SC-CLIP, ResCLIP and CorrCLIP against their formulas."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS

from mmseg_weakclip.models.clip.dense.presets import PRESETS, build_dense
from mmseg_weakclip.models.clip.dense.stream import DenseStream
from mmseg_weakclip.models.clip.dense.token_repair import (
    find_outliers,
    repair_tokens,
    smooth_tokens,
)
from mmseg_weakclip.models.clip.vit import CLIPViT

GRID = (5, 7)
# SC-CLIP's row, for the six blocks of the small model.
SC = dict(
    preset='sc_clip',
    affinity='own:4',
    repair=dict(neighbours=8),
    smooth=dict(before=4, after=2, threshold=0.4),
    fuse=(2, 5),
)
RES = dict(preset='res_clip', terms=('kk', 'attention:3-5'))


@MODELS.register_module()
class FlatAffinity(BaseModule):
    """Softmax of four cosines of the images' mean colours, with features."""

    def describe(self, images, grid):
        cells = F.adaptive_avg_pool2d(images, grid)
        return cells.flatten(2).transpose(1, 2).float(), grid

    def relate(self, rows, everything, first=0, windows=1):
        unit = F.normalize(everything, dim=2)
        return (4 * F.normalize(rows, dim=2) @ unit.transpose(1, 2)).softmax(
            -1
        )

    def forward(self, images, grid):
        features, grid = self.describe(images, grid)
        return self.relate(features, features), grid


CORR = dict(
    preset='corr_clip', affinity=dict(type='FlatAffinity'), fuse=(2, 4)
)
ROWS = [SC, RES, CORR]
# The pretended device is slow; one test compares both.
ON_CPU = pytest.mark.parametrize('device', ['cpu'], indirect=True)


@pytest.fixture
def images(device):
    return torch.randn(2, 3, 40, 56).to(device)


@pytest.fixture
def run(make_vit, images):
    def run(dense, dtype=None, given=None):
        vit = make_vit(dense=dense, with_tokens=True, hidden_states=True)
        with (
            torch.no_grad(),
            torch.autocast(
                images.device.type, dtype, enabled=dtype is not None
            ),
        ):
            return vit, vit(images if given is None else given)[-1]

    return run


def heads_of(block, tokens):
    """Queries, keys and values of one image, head by head."""
    attn = block.attn
    qkv = F.linear(block.ln_1(tokens), attn.in_proj_weight, attn.in_proj_bias)
    return [
        [part.chunk(attn.num_heads, -1)[head] for part in qkv.chunk(3, -1)]
        for head in range(attn.num_heads)
    ]


def cosine_map(features):
    unit = features / features.norm(dim=-1, keepdim=True)
    return unit @ unit.T


@torch.no_grad()
@pytest.mark.parametrize('dense', [SC, RES], ids=lambda row: row['preset'])
def test_devices_agree(cuda, dense):
    """Without tensors of two devices in one place."""
    images, found = torch.randn(2, 3, 40, 56), []
    for device in ('cpu', 'cuda'):
        torch.manual_seed(0)
        vit = CLIPViT('toyclip', None, dense=dense, with_tokens=True)
        tokens = vit.to(device).eval()(images.to(device))[-1]
        found.append(tokens.dense.cpu())
    assert torch.allclose(*found, atol=1e-4)


@torch.no_grad()
@ON_CPU
def test_sc_clip_is_its_row(run):
    vit, tokens = run(SC)
    block = vit.tower.blocks[-1]
    for image in range(2):
        hidden = [h[image] for h in tokens.hidden]
        last = hidden[5]
        bad = find_outliers(last[None, 1:], 8)

        def mended(x, bad=bad):
            return repair_tokens(x[None, 1:], bad, GRID)[0]

        own = mended(hidden[4])
        cosine = cosine_map(own)
        scores = 3 * (cosine - cosine.mean())
        scores[scores < 0] = -torch.inf
        affinity = scores.softmax(-1)
        patches = smooth_tokens(mended(last)[None], own[None], 0.4)[0]

        def attention(x, affinity=affinity):
            """Of the patches alone, the mean of two maps, and its layer."""
            mixed = []
            for _, key, value in heads_of(block, x):
                kk = (key @ key.T / key.shape[-1] ** 0.5).softmax(-1)
                mixed.append((kk + affinity) / 2 @ value)
            return block.attn.out_proj(torch.cat(mixed, -1))

        first = attention(patches)
        first = smooth_tokens(first[None], hidden[2][None, 1:], 0.4)[0]
        total = sum(hidden[number] for number in (2, 3, 4, 5))
        expected = (
            first + 0.3 * last[0] + attention(total[1:]) + 0.3 * total[0]
        )
        assert torch.allclose(
            tokens.dense[image, 1:], expected, atol=2e-5, rtol=1e-4
        )


@torch.no_grad()
@ON_CPU
def test_res_clip_is_its_row(run):
    vit, tokens = run(RES)
    blocks = vit.tower.blocks
    rows = [(i // GRID[1], i % GRID[1]) for i in range(GRID[0] * GRID[1])]
    window = torch.zeros(1 + len(rows), 1 + len(rows))
    for i, (y, x) in enumerate(rows):
        for j, (v, u) in enumerate(rows):
            away = torch.tensor(float((y - v) ** 2 + (x - u) ** 2))
            window[1 + i, 1 + j] = (-away / 50).exp()
    for image in range(2):
        earlier = [
            heads_of(blocks[number - 1], tokens.hidden[number - 1][image])
            for number in (3, 4, 5)
        ]
        mixed = []
        last = heads_of(blocks[-1], tokens.hidden[-2][image])
        for head, (_, key, value) in enumerate(last):
            scale = key.shape[-1] ** -0.5
            near = (scale * key @ key.T + window.to(key)).softmax(-1)
            own = sum(
                (scale * block[head][0] @ block[head][1].T).softmax(-1)
                for block in earlier
            )
            whole = 2.0 * ((1 - 0.3) * near + 0.3 * own / 3)
            mixed.append(whole @ value)
        expected = blocks[-1].attn.out_proj(torch.cat(mixed, -1))
        assert torch.allclose(
            tokens.dense[image, 1:], expected[1:], atol=2e-5, rtol=1e-4
        )


@torch.no_grad()
@ON_CPU
def test_corr_clip_adds_the_pass_on_fused_blocks(run, images):
    vit, tokens = run(CORR)
    block = vit.tower.blocks[-1]
    maps = vit.affinity(images, GRID)[0]
    for image in range(2):
        expected = 0
        hidden = [h[image] for h in tokens.hidden]
        # The mean of the blocks, which the norm makes the same as their sum.
        for x in (hidden[5], (hidden[2] + hidden[3] + hidden[4]) / 3):
            mixed = [maps[image] @ v[1:] for _, _, v in heads_of(block, x)]
            expected = expected + block.attn.out_proj(torch.cat(mixed, -1))
        # But for the small number that the norm adds to the variance.
        assert torch.allclose(
            tokens.dense[image, 1:], expected, atol=1e-3, rtol=1e-3
        )


@torch.no_grad()
@ON_CPU
@pytest.mark.parametrize('dense', ROWS, ids=lambda row: row['preset'])
def test_batches_bfloat16_and_the_plain_stream(run, images, dense):
    _, together = run(dense)
    _, plain = run(None)
    for one, other in zip(together.hidden, plain.hidden):
        assert torch.equal(one, other)
    for index in range(2):
        _, alone = run(dense, given=images[index : index + 1])
        assert torch.allclose(alone.dense[0], together.dense[index], atol=1e-4)
    _, rough = run(dense, torch.bfloat16)
    assert torch.isfinite(rough.dense).all()
    alike = F.cosine_similarity(
        together.dense.flatten(1), rough.dense.float().flatten(1)
    )
    assert (alike > 0.97).all()


@pytest.mark.parametrize(
    ('dense', 'message'),
    [
        (dict(terms=('attention:3',)), r"terms=\('attention:3',\)"),
        (dict(terms=('attention:5-3',)), 'the first before the last'),
        (dict(terms=('attention:3-5',), heads='sum'), "heads='keep'"),
        (dict(terms=('qq', 'kk'), weights=(1,)), r'weights=\(1,\) for terms'),
        (dict(terms=('affinity',), affinity='its:9'), "affinity='its:9'"),
        (dict(preset='sc_clip', repair='lov'), "repair='lov'"),
        (dict(preset='sc_clip', repair=dict(k=3)), 'must have some of'),
        (dict(preset='sc_clip', smooth=dict(within=3)), "'before', 'after'"),
        (dict(preset='sc_clip', fuse=(10, 4)), r'fuse=\(10, 4\)'),
        (dict(preset='sc_clip', ffn=True), 'need layers=1'),
        (dict(preset='excel', class_share=0.3), 'not layers=5'),
    ],
    ids=str,
)
def test_bad_values(dense, message):
    with pytest.raises(ValueError, match=message):
        build_dense(dense)


def test_blocks_that_are_not_there(make_vit):
    with pytest.raises(ValueError, match='names block 10, but toyclip has 6'):
        make_vit(dense='sc_clip', with_tokens=True)
    assert build_dense('res_clip').highest_block == 9
    assert build_dense('sclip').highest_block == 0
    assert PRESETS['sc_clip']['repair'] == 'lof'


@torch.no_grad()
@ON_CPU
def test_second_model_with_another_grid(make_vit, images):
    """Values are resized in both passes; what needs CLIP's grid says so."""
    options = dict(
        type='TimmAffinity',
        model='vit_tiny_patch16_224',
        pretrained=False,
        source='query+key',
        beta=0.0,
        gamma=4.0,
        positive=False,
    )
    row = dict(CORR, affinity=options)
    tokens = make_vit(dense=row, with_tokens=True)(images)[-1]
    assert tokens.patch_embeddings.shape[2:] == (2, 4)
    vit = make_vit(dense=dict(row, class_share=0.3), with_tokens=True)
    with pytest.raises(ValueError, match=r'\(2, 4\) patches.*class_share'):
        vit(images)


@torch.no_grad()
@pytest.mark.parametrize(
    'options',
    [
        dict(preset='clearclip'),
        dict(preset='clearclip', smooth=dict(before=3, threshold=0.0)),
        dict(preset='clearclip', smooth=dict(after=2, threshold=0.0)),
        dict(
            terms=('kk',),
            residual=False,
            iterations=1,
            unit_length=True,
            temperature=0.3,
        ),
        dict(terms=('vv',), residual=False, iterations=1, heads='mean'),
    ],
)
def test_nothing_comes_from_another_region(make_vit, device, options):
    """Other tokens in the right half change nothing in the left one."""
    vit, grid = make_vit(with_tokens=True), (6, 10)
    regions = torch.zeros(1, 48, 80, dtype=torch.long, device=device)
    regions[..., 40:] = 1
    torch.manual_seed(0)
    given = torch.randn(6, 1, 61, 128).to(device)
    other = given.clone()
    other[:, :, 1:].unflatten(2, grid)[..., 5:, :] = torch.randn(
        6, 1, 6, 5, 128
    ).to(device)
    left, right = [], []
    for inputs in (given, other):
        stream = DenseStream(build_dense(options), 6, grid, regions=regions)
        for index, block in enumerate(vit.tower.attention_blocks(grid)):
            normed = block.norm(inputs[index])
            stream.update(
                index, block, inputs[index], normed, block.project(normed)
            )
        halves = stream.y[:, 1:].unflatten(1, grid).split(5, 2)
        for half, found in zip((left, right), halves):
            half.append(found)
    assert torch.allclose(*left, atol=1e-5)
    assert not torch.allclose(*right, atol=1e-2)


@torch.no_grad()
def test_patches_that_are_like_none_of_their_region(make_vit, device):
    """All weight lies on a patch of another region: each sees itself."""
    vit = make_vit(dense='maskclip', with_tokens=True)
    block, images = vit.tower.blocks[-1], torch.randn(1, 3, 16, 16)
    maps = torch.zeros(1, 4, 4, device=device)
    maps[..., 3] = 1
    regions = torch.zeros(1, 16, 16, dtype=torch.long, device=device)
    regions[:, 8:, 8:] = 1
    dense = build_dense(dict(preset='proxy', affinity=dict(type='Any')))
    stream = DenseStream(dense, 6, (2, 2), (maps, (2, 2)), regions=regions)
    x, _ = vit.tower.stem(images.to(device))
    normed = block.ln_1(x)
    steps = vit.tower.attention_blocks((2, 2))[-1]
    stream.update(5, steps, x, normed, steps.project(normed))
    own = F.linear(normed, *vit_values(block))
    expected = block.attn.out_proj(own)
    assert torch.allclose(stream.y, expected, atol=1e-5)


def vit_values(block):
    """Weight and bias of the projection of the values."""
    attn = block.attn
    return attn.in_proj_weight.chunk(3)[2], attn.in_proj_bias.chunk(3)[2]
