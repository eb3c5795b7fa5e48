"""Windows that see each other, and patches that see their region."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmseg.registry import MODELS

from mmseg_weakclip.models.segmenters.window_encoding import encode_windows

CROP, STRIDE = (32, 48), (16, 32)
SIZE = (48, 80)
GRID = (4, 6)
BOXES = [
    (slice(y, y + 32), slice(x, x + 48)) for y in (0, 16) for x in (0, 32)
]


@MODELS.register_module()
class ColourAffinity(BaseModule):
    """Softmax of cosines of mean colours."""

    def describe(self, images, grid):
        cells = F.adaptive_avg_pool2d(images, grid)
        return cells.flatten(2).transpose(1, 2).float(), grid

    def relate(self, rows, everything, first=0, windows=1):
        unit = F.normalize(everything, dim=2)
        scores = 4 * F.normalize(rows, dim=2) @ unit.transpose(1, 2)
        return scores.softmax(-1)

    def forward(self, images, grid):
        features, grid = self.describe(images, grid)
        return self.relate(features, features), grid


@MODELS.register_module()
class MapsAlone(BaseModule):
    """Without features."""

    def forward(self, images, grid):
        count = grid[0] * grid[1]
        return images.new_ones(len(images), count, count) / count, grid


COLOUR = dict(preset='proxy', affinity=dict(type='ColourAffinity'))
SC = dict(
    preset='sc_clip',
    affinity='own:4',
    repair=dict(neighbours=8),
    smooth=dict(before=4, after=2),
    fuse=(2, 5),
)
RES = dict(preset='res_clip', terms=('kk', 'attention:3-5'))
PATHS = {
    'maskclip': 'maskclip',
    'sclip': 'sclip',
    'naclip': 'naclip',
    'gem': 'gem',
    'excel': 'excel',
    'colour': COLOUR,
    'sc_clip': SC,
    'res_clip': RES,
}
# The pretended device is slow; the segmentor as a whole is tested on it.
ON_CPU = pytest.mark.parametrize('device', ['cpu'], indirect=True)
EVERY_PATH = pytest.mark.parametrize('dense', PATHS.values(), ids=PATHS)


@pytest.fixture
def images(device):
    return torch.randn(2, 3, *SIZE).to(device)


def parts(images, boxes=BOXES, at_once=3):
    """Windows as the segmentor cuts them."""
    for first in range(0, len(boxes), at_once):
        some = boxes[first : first + at_once]
        yield some, torch.cat([images[..., y, x] for y, x in some])


@torch.no_grad()
@ON_CPU
@EVERY_PATH
def test_one_window_is_the_plain_path(make_vit, images, dense):
    vit = make_vit(dense=dense, with_tokens=True)
    whole = [(slice(0, SIZE[0]), slice(0, SIZE[1]))]
    expected = vit(images)[-1]
    for joint in (True, False):
        (found,) = encode_windows(vit, parts(images, whole), joint=joint)
        for name in ('patch_embeddings', 'class_embedding'):
            assert torch.allclose(
                getattr(found, name), getattr(expected, name), atol=1e-4
            )
    cut = list(parts(images))
    for (_, windows), found in zip(cut, encode_windows(vit, iter(cut))):
        expected = vit(windows)[-1].patch_embeddings
        assert torch.allclose(found.patch_embeddings, expected, atol=1e-4)


@torch.no_grad()
@ON_CPU
@EVERY_PATH
def test_joint_images_and_parts_are_apart(
    make_vit, images, dense, monkeypatch
):
    """Neither the batch, nor the windows or the rows at a time, matter."""
    vit = make_vit(dense=dense, with_tokens=True)
    (together,) = encode_windows(vit, parts(images), joint=True)
    own = together.patch_embeddings.unflatten(0, (4, 2))
    name = 'mmseg_weakclip.models.clip.similarity.MOST_CPU_SCORES'
    monkeypatch.setattr(name, 7 * 4 * 100)
    for index in range(2):
        cut = parts(images[index : index + 1], at_once=1)
        (alone,) = encode_windows(vit, cut, joint=True)
        assert torch.allclose(alone.patch_embeddings, own[:, index], atol=1e-4)


def last_inputs(vit, images):
    """Input of the last block of each window of one image, (W, N, D)."""
    vit.hidden_states = True
    found = [vit(images[None, :, y, x])[-1].hidden[-2][0] for y, x in BOXES]
    vit.hidden_states = False
    return torch.stack(found)


@torch.no_grad()
@ON_CPU
@pytest.mark.parametrize('term', ['kk', 'affinity'])
def test_joint_attention_is_its_formula(make_vit, images, term):
    """Keys and values of all windows, distances in the image."""
    dense = 'naclip' if term == 'kk' else COLOUR
    vit = make_vit(dense=dense, with_tokens=True)
    (tokens,) = encode_windows(vit, parts(images), joint=True)
    block = vit.tower.blocks[-1]
    attn = block.attn
    places = [
        (y.start / 8 + r, x.start / 8 + c)
        for y, x in BOXES
        for r in range(GRID[0])
        for c in range(GRID[1])
    ]
    places = torch.tensor(places)
    near = torch.cdist(places, places).square().div(-50).exp()
    for image in range(2):
        x = last_inputs(vit, images[image])
        qkv = F.linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias)
        _, key, value = qkv.chunk(3, -1)
        mixed = []
        for head in range(attn.num_heads):
            k, v = (
                part.chunk(attn.num_heads, -1)[head] for part in (key, value)
            )
            if term == 'kk':
                flat = k.flatten(0, 1)
                scores = flat @ flat.T / k.shape[-1] ** 0.5
                bias = torch.zeros(4, 25, 4, 25)
                bias[:, 1:, :, 1:] = near.view(4, 24, 4, 24)
                scores = scores + bias.view(100, 100).to(scores)
                out = (scores.softmax(-1) @ v.flatten(0, 1)).view(4, 25, -1)
                mixed.append(out[:, 1:])
            else:
                cells = torch.cat(
                    [
                        F.adaptive_avg_pool2d(images[image, :, y, x], GRID)
                        .flatten(1)
                        .T
                        for y, x in BOXES
                    ]
                )
                unit = F.normalize(cells, dim=1)
                maps = (4 * unit @ unit.T).softmax(-1)
                mixed.append((maps @ v[:, 1:].flatten(0, 1)).view(4, 24, -1))
        expected = attn.out_proj(torch.cat(mixed, -1))
        expected = vit.tower.embed(expected).transpose(1, 2)
        found = tokens.patch_embeddings.unflatten(0, (4, 2))[:, image]
        assert torch.allclose(found.flatten(2), expected, atol=1e-4)


@torch.no_grad()
@ON_CPU
def test_joint_bfloat16_is_close(make_vit, images, device):
    vit = make_vit(dense=COLOUR, with_tokens=True)
    (exact,) = encode_windows(vit, parts(images), joint=True)
    with torch.autocast(device.type, torch.bfloat16):
        (rough,) = encode_windows(vit, parts(images), joint=True)
    one, other = (
        tokens.patch_embeddings.float().flatten(1) for tokens in (exact, rough)
    )
    assert (F.cosine_similarity(one, other) > 0.98).all()


@ON_CPU
def test_what_cannot_be_joint(make_vit, images):
    with pytest.raises(ValueError, match='need a dense path'):
        list(encode_windows(make_vit(with_tokens=True), parts(images)))
    row = dict(preset='proxy', affinity=dict(type='MapsAlone'))
    vit = make_vit(dense=row, with_tokens=True)
    with pytest.raises(ValueError, match='MapsAlone, which gives maps'):
        list(encode_windows(vit, parts(images), joint=True))


def naive_scope(scores, ids):
    """Softmax of each row over the region of its token, (N, N)."""
    rows = []
    for i, own in enumerate(ids):
        if own == -2:
            seen = torch.ones(len(ids), dtype=torch.bool)
        elif own == -1:
            seen = scores[i] > scores[i].mean()
        else:
            seen = torch.tensor([other == own for other in ids])
        row = scores[i].masked_fill(~seen.to(scores.device), -torch.inf)
        rows.append(row.softmax(-1))
    return torch.stack(rows)


@torch.no_grad()
@ON_CPU
@pytest.mark.parametrize('term', ['kk', 'affinity', 'heads'])
def test_regions_bound_what_a_patch_sees(make_vit, images, device, term):
    dense = dict(
        kk=dict(terms=('kk',), residual=False),
        affinity=COLOUR,
        heads=dict(terms=('kk',), residual=False, heads='mean'),
    )[term]
    vit = make_vit(dense=dense, with_tokens=True, hidden_states=True)
    regions = torch.full((2, *SIZE), -1)
    regions[:, :24, :40] = 0
    regions[:, 24:, 16:] = 1
    regions[1, 8:20, 8:24] = 2
    box = [(slice(0, SIZE[0]), slice(0, SIZE[1]))]
    (tokens,) = encode_windows(
        vit, parts(images, box), regions.to(device), joint=False
    )
    block, hidden = vit.tower.blocks[-1], vit(images)[-1].hidden[-2]
    attn = block.attn
    for image in range(2):
        # Patches of 8 pixels, by their centres.
        ids = [-2, *regions[image, 4::8, 4::8].flatten().tolist()]
        normed = block.ln_1(hidden[image])
        qkv = F.linear(normed, attn.in_proj_weight, attn.in_proj_bias)
        _, key, value = qkv.chunk(3, -1)
        keys, values = (
            part.chunk(attn.num_heads, -1) for part in (key, value)
        )
        if term == 'affinity':
            cells = F.adaptive_avg_pool2d(images[image], (6, 10))
            unit = F.normalize(cells.flatten(1).T, dim=1)
            maps = naive_scope(4 * unit @ unit.T, ids[1:])
            mixed = [maps @ v[1:] for v in values]
        else:
            maps = [
                naive_scope(k @ k.T / k.shape[-1] ** 0.5, ids) for k in keys
            ]
            if term == 'heads':
                maps = [sum(maps) / len(maps)] * len(maps)
            mixed = [(m @ v)[1:] for m, v in zip(maps, values)]
        expected = vit.tower.embed(attn.out_proj(torch.cat(mixed, -1)))
        found = tokens.patch_embeddings[image].flatten(1).T
        assert torch.allclose(found, expected, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    ('device', 'windows'),
    [('cpu', 'apart'), ('cuda', 'joint')],
    indirect=['device'],
)
def test_segmentor(region_folder, region_meta, images, device, windows):
    """All together: regions, windows, refinement; then the regions vote."""
    clip = dict(model='toyclip', pretrained=None)
    model = MODELS.build(
        dict(
            type='ZeroShotSegmentor',
            windows=windows,
            regions=dict(folder=str(region_folder), missing='skip'),
            refine=dict(type='LabelPropagation', neighbours=9),
            backbone=dict(
                type='CLIPViT', **clip, dense=COLOUR, with_tokens=True
            ),
            decode_head=dict(
                type='PatchTextHead',
                num_classes=3,
                text=dict(
                    type='TemplateText', **clip, names=('boat', 'car', 'bird')
                ),
            ),
            test_cfg=ConfigDict(
                mode='slide', crop_size=CROP, stride=STRIDE, batch_pixels=1
            ),
        )
    )
    model = model.to(device).eval()
    metas = [region_meta(name, img_shape=SIZE) for name in (0, 'cat')]
    logits = model.inference(images, metas)
    assert logits.shape == (2, 3, *SIZE)
    labels = logits.argmax(1).cpu()
    assert len(labels[0, :16, :16].unique()) == 1
    assert len(labels[0, 16:, :40].unique()) == 1
    model.vote = False
    before = model.inference(images, metas)
    assert torch.allclose(before[1], logits[1], atol=1e-5)
    assert torch.equal(before[0].sort(0).values, logits[0].sort(0).values)
