"""Every model of open_clip is built, or refused with a reason.

Built ones are compared with open_clip, one model of each kind.
"""

import socket
from copy import deepcopy

import open_clip
import pytest
import torch
import torch.nn.functional as F
from tiny_clips import tiny_clips

from mmseg_weakclip.models.clip import vit as vit_module
from mmseg_weakclip.models.clip.local_models import local_tags
from mmseg_weakclip.models.clip.model_config import find_config_problem
from mmseg_weakclip.models.clip.text_tower import TextTower, find_text_problem
from mmseg_weakclip.models.clip.vision import find_tower_problem
from mmseg_weakclip.models.clip.vit import CLIPViT
from mmseg_weakclip.models.clip.weights import load_clip

# One model of each kind.
KINDS = (
    'ViT-B-32-quickgelu',
    'ViT-M-16-alt',  # layer scale
    'ViT-L-14-CLIPA',  # mean, norm behind it; the last token of a text
    'ViT-L-14-worldwide',  # the end token of another tokenizer
    'ViT-B-16-SigLIP',  # attention pool, no class token
    'ViT-SO400M-16-SigLIP-i18n-256',  # no projection of texts
    'EVA01-g-14',
    'EVA02-B-16',  # rotary positions, norm behind the attention
    'EVA02-E-14',  # norms last
    'MobileCLIP2-B',  # convolutional stem
    'MobileCLIP2-L-14',  # texts without a causal mask
    'PE-Core-B-16',  # rotary positions, class token, attention pool
    'PE-Core-bigG-14-448',  # without a class token
    'ViTamin-S',
    'ViTamin-XL-256',  # no position embedding
    'vit_medium_patch16_gap_256',
)
LINEAR = [name for name in KINDS if not name.startswith('EVA02')]
POOLED = ('ViT-B-16-SigLIP', 'PE-Core-bigG-14-448')
FEW = ('ViT-B-16-SigLIP', 'PE-Core-B-16', 'ViT-L-14-CLIPA')


def make_vit(clip, monkeypatch, **options):
    monkeypatch.setattr(vit_module, 'load_clip', lambda *_: deepcopy(clip))
    options = dict(dict(with_tokens=True), **options)
    return CLIPViT('any', None, **options).eval()


def make_images(tower, rows=3, columns=3, batch=2):
    side = tower.patch_size
    return torch.randn(batch, 3, rows * side, columns * side)


def at_size(visual, rows, columns, side):
    """open_clip's tower for images of another size."""
    visual = deepcopy(visual)
    if hasattr(visual, 'trunk'):
        visual.trunk.set_input_size((rows * side, columns * side))
        return visual
    table = visual.positional_embedding.data
    old = int((len(table) - 1) ** 0.5)
    patches = table[1:].T.unflatten(1, (old, old))[None]
    patches = F.interpolate(
        patches, (rows, columns), mode='bicubic', antialias=True
    )
    patches = patches[0].flatten(1).T
    visual.positional_embedding.data = torch.cat([table[:1], patches])
    return visual


@pytest.mark.parametrize('name', KINDS)
@torch.no_grad()
def test_image_embedding_is_that_of_open_clip(tiny, name, monkeypatch):
    clip = tiny(name)
    vit = make_vit(clip, monkeypatch, position_mode='bicubic-antialias')
    images = make_images(vit.tower)
    expected = clip.encode_image(images)
    assert expected.std() > 0.01
    ours = vit(images)[-1]
    assert ours.class_embedding.shape[1] == vit.tower.embed_dim
    assert torch.allclose(ours.class_embedding, expected, atol=1e-4)
    assert torch.allclose(
        vit(images[:1])[-1].class_embedding, expected[:1], atol=1e-4
    )
    images = make_images(vit.tower, 2, 5)
    other = at_size(clip.visual, 2, 5, vit.tower.patch_size)
    maps, tokens = vit(images)
    assert maps.shape == (2, vit.tower.width, 2, 5)
    assert tokens.patch_embeddings.shape == (2, vit.tower.embed_dim, 2, 5)
    assert torch.allclose(tokens.class_embedding, other(images), atol=1e-4)


@pytest.mark.parametrize('name', KINDS)
@torch.no_grad()
def test_text_embedding_is_that_of_open_clip(tiny, name):
    clip = tiny(name)
    text = getattr(clip, 'text', clip)
    pool = getattr(text, 'text_pool_type', None) or text.pool_type
    end = text.text_eos_id if pool == 'eos' and text is clip else 99
    ids = torch.randint(3, 99, (4, 9))
    ends = torch.tensor([8, 3, 5, 0])
    for row, last in zip(ids, ends):
        row[last] = end
        row[last + 1 :] = 0
    start = (7,)
    whole = torch.zeros(4, 12, dtype=torch.long)
    whole[:, 0] = 7
    whole[:, 1:10] = ids
    tower = TextTower(clip, pad=0).eval()
    assert tower.context_length == 12
    expected = clip.encode_text(whole)
    ours = tower.encode_ids(start, ids, ends)
    assert torch.allclose(ours, expected, atol=1e-4)
    alone = tower.encode_ids(start, ids[1:2, :4], ends[1:2])
    assert torch.allclose(alone, expected[1:2], atol=1e-4)
    # Without a start token, as in T5's tokenizers.
    if pool != 'argmax':
        without = torch.zeros_like(whole)
        without[:, :9] = ids
        ours = tower.encode_ids((), ids, ends)
        assert torch.allclose(ours, clip.encode_text(without), atol=1e-4)


@torch.no_grad()
def test_padding_that_counts_must_be_known(tiny):
    clip = tiny('ViT-B-16-SigLIP')
    ids, ends = torch.ones(1, 3, dtype=torch.long), torch.tensor([2])
    with pytest.raises(ValueError, match='give TextTower the pad of the Tok'):
        TextTower(clip).encode_ids((), ids, ends)
    first = TextTower(clip, pad=0).encode_ids((), ids, ends)
    other = TextTower(clip, pad=1).encode_ids((), ids, ends)
    assert not torch.allclose(first, other, atol=1e-3)


@pytest.mark.parametrize('name', KINDS)
@torch.no_grad()
def test_dense_stream_of_the_plain_attention(tiny, name, monkeypatch):
    """With CLIP's own map and feed-forward part it is the plain stream."""
    dense = dict(terms=('qk',), ffn=True)
    clip = tiny(name)
    vit = make_vit(clip, monkeypatch, dense=dense)
    images = make_images(vit.tower, 2, 4)
    tokens = vit(images)[-1]
    plain = make_vit(clip, monkeypatch, hidden_states=True)(images)[-1]
    assert torch.allclose(
        tokens.patch_embeddings, plain.patch_embeddings, atol=1e-4
    )
    assert torch.allclose(tokens.dense, plain.hidden[-1], atol=1e-4)
    for dense in ('naclip', dict(preset='excel', layers=2)):
        tokens = make_vit(clip, monkeypatch, dense=dense)(images)[-1]
        assert tokens.patch_embeddings.isfinite().all()
        assert (tokens.values is not None) == (name in LINEAR)


@pytest.mark.parametrize('name', LINEAR)
@torch.no_grad()
def test_linear_values(tiny, name, monkeypatch):
    """Adding R to every head's map adds R @ U."""
    tower = make_vit(tiny(name), monkeypatch).tower
    x, grid = tower.stem(make_images(tower, 2, 2))
    block = tower.attention_blocks(grid)[0]
    value = block.project(block.norm(x)).value
    relation = torch.rand(2, x.shape[1], x.shape[1])
    mixed = torch.rand_like(value)

    def update(values):
        return block.update(values.transpose(1, 2).flatten(2))

    both = update(mixed + relation[:, None] @ value)
    expected = update(mixed) + relation @ block.linear_values(value)
    assert torch.allclose(both, expected, atol=1e-4)


@pytest.mark.parametrize('name', POOLED)
@torch.no_grad()
def test_a_single_patch_is_pooled_as_an_image(tiny, name, monkeypatch):
    """The dense reading of an attention pool: the query sees one token."""
    tower = make_vit(tiny(name), monkeypatch).tower
    x = torch.randn(3, 1, tower.width)
    assert torch.allclose(
        tower.embed(x)[:, 0], tower.embed_image(x), atol=1e-5
    )


@pytest.mark.parametrize('name', FEW)
@torch.no_grad()
def test_half_precision_and_devices(tiny, name, monkeypatch, device):
    vit = make_vit(tiny(name), monkeypatch, dense='naclip').to(device)
    images = make_images(vit.tower, 3, 2).to(device)
    exact = vit(images)[-1]
    with torch.autocast(device.type, torch.bfloat16):
        rough = vit(images)[-1]
    for key in ('class_embedding', 'patch_embeddings'):
        one, other = getattr(exact, key), getattr(rough, key)
        assert one.dtype == other.dtype == torch.float32
        assert F.cosine_similarity(one, other, dim=1).min() > 0.99


def test_places_kept_by_inference_do_not_disturb_training(tiny, monkeypatch):
    vit = make_vit(tiny('PE-Core-B-16'), monkeypatch, frozen=False)
    vit.requires_grad_(requires_grad=True)
    images = make_images(vit.tower)
    with torch.inference_mode():
        vit(images)
    vit(images)[-1].class_embedding.sum().backward()
    assert vit.tower.blocks[0].attn.qkv.weight.grad.any()


def test_rotary_positions_need_a_grid(tiny, monkeypatch):
    tower = make_vit(tiny('PE-Core-B-16'), monkeypatch).tower
    with pytest.raises(ValueError, match='belong to patches on a grid'):
        tower.attention_blocks(None)
    assert len(tower.attention_blocks((2, 3))) == 2


def test_options_of_other_towers(tiny, monkeypatch):
    vit = make_vit(
        tiny('ViT-B-16-SigLIP'), monkeypatch, class_embedding_repeats=2
    )
    with pytest.raises(ValueError, match='for the weights of WeakCLIP'):
        vit(make_images(vit.tower))
    clip = tiny('ViTamin-XL-256')
    with pytest.raises(ValueError, match='has no position embedding'):
        make_vit(clip, monkeypatch, position_grid=(4, 4))
    vit = make_vit(tiny('ViT-B-16-SigLIP'), monkeypatch, position_grid=(5, 5))
    assert vit.tower.module.trunk.pos_embed.shape == (1, 25, 64)
    assert vit(make_images(vit.tower))[0].shape == (2, 64, 3, 3)


@pytest.mark.parametrize('old', [False, True])
def test_files_of_weights(tiny, tmp_path, old):
    """Also of before the text tower was a part of its own."""
    name = 'MobileCLIP2-L-14'
    state = tiny(name).state_dict()
    file = tmp_path / 'weights.pt'
    renamed = {
        key.removeprefix('text.') if old else key: value
        for key, value in state.items()
    }
    torch.save(renamed, file)
    with tiny_clips(name):
        loaded = load_clip(name, str(file)).state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    del renamed['visual.trunk.pos_embed']
    torch.save(renamed, file)
    with (
        tiny_clips(name),
        pytest.raises(ValueError, match=r'missing \["visual\.trunk\.pos_em'),
    ):
        load_clip(name, str(file))


def test_every_model_is_built_or_refused(monkeypatch):
    """On the meta device, without weights and network."""
    monkeypatch.setattr(
        socket, 'create_connection', lambda *_, **__: pytest.fail('asked')
    )
    # open_clip moves what it built to the CPU.
    monkeypatch.setattr(torch.nn.Module, 'to', lambda self, *_, **__: self)
    names = [n for n in open_clip.list_models() if not local_tags(n)]
    configs = {name: open_clip.get_model_config(name) for name in names}
    built = [n for n in names if not find_config_problem(configs[n])]
    for name in set(names) - set(built):
        with pytest.raises(ValueError, match=f'^{name} cannot be used: '):
            load_clip(name, None)
    kinds = set()
    with tiny_clips(*built), torch.device('meta'):
        for name in built:
            if 'hf_model_name' in configs[name]['text_cfg']:
                continue
            config = open_clip.get_model_config(name)
            kind = repr((config['vision_cfg'], config['text_cfg']))
            if kind not in kinds:
                clip = load_clip(name, None)
                assert find_tower_problem(clip.visual) is None
                assert find_text_problem(clip) is None
            kinds.add(kind)
    assert len(names) >= 144
    assert len(built) >= 111
