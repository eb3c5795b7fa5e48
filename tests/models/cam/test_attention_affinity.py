"""The affinity of classes beside that of CLIP's attention."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmseg_weakclip.models.cam.attention_affinity import AttentionAffinity
from mmseg_weakclip.models.refine.affinity import (
    refine_by_affinity,
    sinkhorn_affinity,
)
from mmseg_weakclip.models.refine.boxes import box_mask
from mmseg_weakclip.models.refine.class_affinity import class_affinity

OPTIONS = dict(sharpness=20.0, tau=0.1)


@pytest.fixture
def tokens(make_features):
    return make_features(attention_layers=2, dense='excel')[-1]


@pytest.fixture
def text(tokens):
    width = tokens.patch_embeddings.shape[1]
    return F.normalize(
        torch.randn(5, width).to(tokens.patch_embeddings.device), dim=1
    )


@pytest.fixture
def cams(tokens):
    size = (2, 3, *tokens.patch_embeddings.shape[2:])
    return torch.rand(size).to(tokens.patch_embeddings.device)


def alike(tokens, text):
    """By the formula, patch by patch."""
    patches = tokens.patch_embeddings.flatten(2).float()
    scores = torch.stack(
        [
            torch.stack(
                [F.cosine_similarity(text, p[None], dim=1) for p in image.T], 1
            )
            for image in patches
        ]
    )
    return class_affinity(scores, **OPTIONS)


@pytest.mark.parametrize('combine', ['mul', 'matmul', 'alone'])
def test_combinations(tokens, text, cams, combine):
    spread = AttentionAffinity(
        box_threshold=None, classes=dict(combine=combine, **OPTIONS)
    )
    attention = tokens.attention[:, :, 1:, 1:].float().mean(0)
    own = alike(tokens, text)
    expected = {
        'mul': sinkhorn_affinity(attention * own),
        'matmul': own @ sinkhorn_affinity(attention),
        'alone': own,
    }[combine]
    torch.testing.assert_close(
        spread(cams, tokens, text=text),
        refine_by_affinity(cams, expected),
        atol=1e-5,
        rtol=1e-4,
    )


def test_boxes_are_those_of_the_maps(tokens, text, cams):
    options = dict(classes=dict(combine='alone', **OPTIONS))
    with_boxes = AttentionAffinity(box_threshold=0.4, **options)
    expected = refine_by_affinity(
        cams, alike(tokens, text), box_mask(cams, 0.4)
    )
    torch.testing.assert_close(
        with_boxes(cams, tokens, text=text), expected, atol=1e-5, rtol=1e-4
    )
    without = AttentionAffinity(box_threshold=None)
    plain = refine_by_affinity(
        cams,
        sinkhorn_affinity(tokens.attention[:, :, 1:, 1:].float().mean(0)),
    )
    torch.testing.assert_close(without(cams, tokens), plain)


def test_alone_needs_no_attention(make_features, text, cams):
    tokens = make_features(dense='excel')[-1]
    assert tokens.attention is None
    spread = AttentionAffinity(classes=dict(combine='alone', **OPTIONS))
    assert spread(cams, tokens, text=text).isfinite().all()


def test_a_head_gives_all_its_texts(make_features, make_metas, text_cfg):
    """Background words are rows of the distributions."""
    head = dict(
        type='PatchTextCAMHead',
        num_classes=4,
        text=text_cfg,
        background=dict(threshold=0.3),
    )
    inputs = make_features(dense='excel', attention_layers=2)
    device = inputs[-1].patch_embeddings.device
    metas = make_metas((1, 2), (3,))
    found = []
    for classes in (None, dict(OPTIONS), dict(OPTIONS, combine='alone')):
        affinity = dict(box_threshold=None, classes=classes)
        built = MODELS.build(dict(head, affinity=affinity)).to(device)
        found.append(built.predict(inputs, metas, None))
    plain, mixed, alone = found
    assert not torch.allclose(plain, mixed)
    assert not torch.allclose(mixed, alone)
    tokens = inputs[-1]
    text = built.text()
    assert len(text) == 5
    labels = [(0, 1), (2,)]
    maps = built.normalized_cams(tokens, text.float(), labels)
    spread = built.affinity(maps, tokens, text=text.float())
    expected = refine_by_affinity(maps, alike(tokens, text.float()))
    torch.testing.assert_close(spread, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (dict(combine='sum'), "combine='sum' of classes must be one of"),
        (dict(sharp=1), 'sharp'),
    ],
)
def test_wrong_options(tokens, text, cams, classes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        AttentionAffinity(classes=classes)(cams, tokens, text=text)


def test_texts_are_needed(tokens, cams):
    spread = AttentionAffinity(classes=dict(OPTIONS))
    with pytest.raises(ValueError, match='needs their texts'):
        spread(cams, tokens)


@pytest.mark.parametrize(
    'options',
    [
        dict(layers=3),
        dict(relation_layers=3),
        dict(layer_weights=(1, 2)),
        dict(layer_filter='agreement'),
    ],
)
def test_options_of_attention_that_is_not_used(options):
    (name,) = options
    AttentionAffinity(guide_share=0.6, **options)
    with pytest.raises(ValueError, match=f'{name}=.* beside guide_share=1'):
        AttentionAffinity(guide_share=1.0, **options)
    with pytest.raises(ValueError, match=f"{name}=.* beside combine='alone'"):
        AttentionAffinity(classes=dict(combine='alone'), **options)


@pytest.mark.parametrize('options', [dict(rounds=7), dict(guide_share=0.6)])
def test_options_beside_classes_alone(options):
    (name,) = options
    AttentionAffinity(classes=dict(combine='mul'), **options)
    with pytest.raises(ValueError, match=f"{name}=.* beside combine='alone'"):
        AttentionAffinity(classes=dict(combine='alone'), **options)
    # Defaults may be spelt out.
    AttentionAffinity(rounds=3, layers=None, classes=dict(combine='alone'))


@torch.no_grad()
@pytest.mark.parametrize('combine', [None, 'mul', 'matmul'])
def test_maps_on_another_grid(make_features, device, combine):
    """Values on the patches of another model do not meet the attention."""
    inputs = make_features(attention_layers=2)
    tokens = replace(
        inputs[-1], patch_embeddings=torch.randn(2, 8, 3, 4, device=device)
    )
    classes = combine and dict(combine=combine)
    affinity = AttentionAffinity(box_threshold=None, classes=classes)
    cams = torch.rand(2, 3, 3, 4, device=device)
    text = torch.randn(5, 8, device=device)
    with pytest.raises(ValueError, match='maps have 3 x 4 .* set grid=.clip'):
        affinity(cams, tokens, text=text)
    alone = AttentionAffinity(
        box_threshold=None, classes=dict(combine='alone')
    )
    assert alone(cams, tokens, text=text).shape == cams.shape


@torch.no_grad()
@pytest.mark.parametrize('box_threshold', [None, 0.4])
def test_a_class_without_givers_is_kept(make_features, device, box_threshold):
    """Superpixels beside the boxes, or where the map is zero, erase none."""
    tokens = make_features(attention_layers=2)[-1]
    cams = torch.zeros(2, 2, *tokens.grid, device=device)
    cams[:, :, 0, 0] = 1
    cams[:, 1, -1, -1] = 0.9
    givers = torch.zeros_like(cams, dtype=torch.bool)
    givers[:, :, -1] = True
    affinity = AttentionAffinity(box_threshold=box_threshold)
    found = affinity(cams, tokens, givers=givers)
    plain = affinity(cams, tokens)
    assert torch.equal(found[:, 0], plain[:, 0])
    cams[:, 1, 0, 0] = 0
    assert torch.equal(found[:, 1], affinity(cams, tokens)[:, 1])
