"""PatchTextHead: any list of names, no labels."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from mmseg_weakclip.models.cam.patch_text import (
    ROOM,
    PatchTextHead,
    resized_parts,
)

NAMES = ('boat', ('bird', 'fish', 'tree'), 'car')


@pytest.fixture
def make_head(device, text_cfg):
    def make(num_classes=4, head=None, **bank):
        torch.manual_seed(1)
        text = {**text_cfg, 'background_words': (), 'names': NAMES, **bank}
        head = PatchTextHead(num_classes, text, **(head or {}))
        return head.to(device).eval()

    return make


def probabilities(features, texts, scale=40.0):
    """Softmax over all texts, (B, M, h, w), from the formula."""
    patches = features[-1].patch_embeddings
    unit = patches / patches.norm(dim=1, keepdim=True)
    return torch.einsum('behw,me->bmhw', scale * unit, texts).softmax(1)


@torch.no_grad()
def test_classes_without_background(make_head, make_features):
    """As many names as classes: the class of the nearest text."""
    head, features = make_head(num_classes=3), make_features(dense='sclip')
    logits = head(features)
    assert logits.shape == (2, 3, 5, 7)
    expected = probabilities(features, head.text())
    assert torch.allclose(logits.softmax(1), expected, atol=1e-5)


@torch.no_grad()
def test_best_synonym_stands_for_its_class(make_head, make_features):
    head = make_head(num_classes=3, synonyms='keep')
    texts, features = head.text(), make_features()
    assert len(texts) == 5
    expected = probabilities(features, texts)
    best = torch.stack(
        [expected[:, 0], expected[:, 1:4].amax(1), expected[:, 4]], 1
    )
    # Logits are log-probabilities, but for what all classes share.
    ours = head(features)
    shared = ours - best.log()
    assert torch.allclose(shared, shared[:, :1].expand_as(shared), atol=1e-4)
    # The mean of the synonyms is another text.
    mean = make_head(num_classes=3)(features)
    assert not torch.allclose(mean, ours, atol=1e-3)


@torch.no_grad()
def test_best_background_word_is_background(make_head, make_features):
    head = make_head(background_words=('sky', ('water', 'sand')))
    features = make_features()
    logits = head(features)
    expected = probabilities(features, head.text())
    assert len(head.text()) == 5
    assert torch.equal(
        logits.argmax(1) == 0,
        expected[:, 3:].amax(1) > expected[:, :3].amax(1),
    )


@torch.no_grad()
@pytest.mark.parametrize('words', [(), ('sky', 'road')])
def test_below_the_threshold_is_background(make_head, make_features, words):
    # A scale and a threshold at which both happen.
    head = make_head(
        head=dict(threshold=0.4, logit_scale=5.0), background_words=words
    )
    features = make_features()
    every = probabilities(features, head.text(), scale=5.0)
    thresholds = every.amax(1).quantile(0.5).item()
    head.threshold = thresholds
    expected = every.argmax(1) + 1
    expected[(every.amax(1) < thresholds) | (expected > 3)] = 0
    assert torch.equal(head(features).argmax(1), expected)
    assert 0 < (expected == 0).float().mean() < 1


@torch.no_grad()
def test_ends_of_the_threshold(make_head, make_features):
    """At 0 nothing is background, at 1 everything."""
    head, features = make_head(head=dict(threshold=0.0)), make_features()
    logits = head(features)
    assert torch.isfinite(logits).all()
    assert (logits.argmax(1) > 0).all()
    head.threshold = 1.0
    assert (head(features).argmax(1) == 0).all()


@torch.no_grad()
@pytest.mark.parametrize('redundancy', [True, False])
def test_options_of_the_similarity(make_head, make_features, redundancy):
    options = dict(redundancy=redundancy, norm_axis='token')
    head, features = make_head(3, head=options), make_features(batch=1)
    patches = features[-1].patch_embeddings.flatten(2).transpose(1, 2)
    whole = torch.cat([features[-1].class_embedding[:, None], patches], 1)
    products = F.normalize(whole, dim=1)[:, :, None] * head.text()
    if redundancy:
        weights = products[:, 0].sum(-1).mul(2).softmax(-1)
        products = products * (weights / weights.mean())[:, None, :, None]
        products = products - products.mean(2, keepdim=True)
    expected = 40 * products.sum(-1)[:, 1:].transpose(1, 2)
    assert torch.allclose(head(features).flatten(2), expected, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize('size', [(40, 56), (97, 65), (64, 64)])
def test_in_a_stock_segmentor(device, text_cfg, size):
    """Whole, and in windows; one window is the whole."""
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=dict(
                type='CLIPViT',
                model='toyclip',
                pretrained=None,
                dense='naclip',
                with_tokens=True,
            ),
            decode_head=dict(
                type='PatchTextHead',
                num_classes=4,
                text=text_cfg,
                threshold=0.1,
            ),
            test_cfg=ConfigDict(mode='whole'),
        )
    )
    model = model.to(device).eval()
    images = torch.randn(2, 3, *size, device=device)
    metas = [dict(img_shape=size, ori_shape=size, pad_shape=size)] * 2
    whole = model.inference(images, copy.deepcopy(metas))
    assert whole.shape == (2, 4, *size)
    assert torch.isfinite(whole).all()
    found = []
    for crop, stride in ((size, (16, 16)), ((32, 32), (16, 16))):
        model.test_cfg = ConfigDict(
            mode='slide', crop_size=crop, stride=stride
        )
        found.append(model.inference(images, copy.deepcopy(metas)))
    assert torch.allclose(found[0], whole, atol=1e-4)
    assert found[1].shape == whole.shape
    assert not torch.allclose(found[1], whole, atol=1e-2)


def by_pixel(head, features, size, threshold=None):
    """Classes of pixels as published: resize, softmax, best text, threshold.

    Background words come last, and are class 0.
    """
    patches = F.normalize(features[-1].patch_embeddings, dim=1)
    logits = torch.einsum('behw,me->bmhw', patches, head.text())
    logits = F.interpolate(
        head.logit_scale * logits, size, mode='bilinear', align_corners=False
    )
    every = logits.softmax(1)
    groups = every.split(head.text.rows_per_class, 1)
    names = [group.amax(1) for group in groups[: len(head.text)]]
    words = [group.amax(1) for group in groups[len(head.text) :]]
    nothing = torch.zeros_like(names[0])
    words = torch.stack([nothing, *words]).amax(0)
    best, found = torch.stack([words, *names], 1).max(1)
    if threshold is not None:
        found[best < threshold] = 0
    return found


@torch.no_grad()
@pytest.mark.parametrize('with_threshold', [False, True])
@pytest.mark.parametrize('words', [('sky', ('water', 'sand')), ()])
def test_class_of_a_pixel(make_head, make_features, with_threshold, words):
    """Best text and threshold of each pixel, not of the patches around."""
    head = make_head(
        head=dict(threshold=0.0, logit_scale=15.0),
        synonyms='keep',
        background_words=words,
    )
    features, size = make_features(), (80, 112)
    threshold = None
    if with_threshold or not words:
        every = probabilities(features, head.text(), scale=15.0)
        threshold = every.amax(1).quantile(0.4).item()
    head.threshold = threshold
    metas = [dict(img_shape=size)] * 2
    logits = head.predict(features, metas, None)
    expected = by_pixel(head, features, size, threshold)
    assert logits.shape == (2, 4, *size)
    assert torch.isfinite(logits).all()
    assert (logits.argmax(1) == expected).all()
    assert len(expected.unique()) > 2
    alone = head.predict(
        (replace(features[-1], **first_of(features[-1])),), metas[:1], None
    )
    assert torch.allclose(alone, logits[:1], atol=1e-4)


def first_of(tokens):
    return dict(
        class_embedding=tokens.class_embedding[:1],
        patch_embeddings=tokens.patch_embeddings[:1],
    )


@torch.no_grad()
def test_a_class_may_win_between_two_patches(make_head, make_features):
    """Two synonyms, each strong at one patch, are weaker between them."""
    head = make_head(2, names=(('bird', 'fish'), 'car'), synonyms='keep')
    text = torch.eye(3)
    head.text.forward = lambda: text
    # cos with bird, fish, car: (.8, 0, .6), then (0, .8, .6).
    patches = torch.tensor([[0.8, 0, 0.6], [0, 0.8, 0.6]]).T[None, :, None]
    tokens = replace(
        make_features(batch=1)[-1],
        patch_embeddings=patches,
        class_embedding=patches[..., 0, 0],
    )
    # A pixel right between the two: bird .4, fish .4, car .6.
    logits = head.predict((tokens,), [dict(img_shape=(1, 3))], None)
    assert logits[0, :, 0].argmax(0).tolist() == [0, 1, 0]
    middle = torch.tensor([16.0, 24.0])
    assert torch.allclose(logits[0, :, 0, 1], middle, atol=1e-4)
    # Resized classes would have said .8 against .6.
    assert head((tokens,))[0, :, 0].argmax(0).tolist() == [0, 0]


@torch.no_grad()
@pytest.mark.parametrize(
    ('room', 'number'), [(1, 7), (20_000, 7), (50_000, 4), (10**9, 2)]
)
def test_parts_change_nothing(make_head, make_features, room, number):
    head = make_head(
        head=dict(threshold=0.3),
        synonyms='keep',
        background_words=('sky', 'sand'),
    )
    logits = head.text_logits(make_features())

    def resize(maps):
        # Exact: that of bilinear maps depends on their number, by 1e-6.
        return maps.repeat_interleave(16, 2).repeat_interleave(16, 3)

    whole = head._by_class([resize(logits)])
    parts = list(resized_parts(logits, resize, room))
    assert len(parts) == number
    found = head._by_class(parts)
    assert torch.equal(found[:, 1:], whole[:, 1:])
    assert torch.allclose(found[:, 0], whole[:, 0], atol=1e-5)


@pytest.mark.parametrize('side', [224, 2048])
def test_parts_are_bounded(side):
    """COCO-Stuff's 171 texts, without that many pixels being made."""
    logits = torch.zeros(1, 171, 2, 2)

    def resize(maps):
        return maps[..., :1, :1].expand(-1, -1, side, side)

    parts = [part.shape for part in resized_parts(logits, resize)]
    assert sum(shape[1] for shape in parts) == 171
    assert max(shape.numel() for shape in parts) <= ROOM
    assert len(parts) == {224: 2, 2048: 1 + 43}[side]


@torch.no_grad()
def test_classes_can_be_set_at_run_time(make_head, make_features):
    head, features = make_head(num_classes=3), make_features()
    first = head(features)
    head.text.set_names(('tree', 'house', 'rocket'))
    assert not torch.allclose(head(features), first, atol=1e-2)
    head.text.set_names(NAMES)
    assert torch.allclose(head(features), first)


@torch.no_grad()
def test_a_single_class_against_its_background(make_head, make_features):
    head = make_head(2, background_words=('road',))
    head.text.set_names(('boat',))
    assert head(make_features()).shape == (2, 2, 5, 7)


@torch.no_grad()
@pytest.mark.parametrize(
    ('num_classes', 'options', 'message'),
    [
        (5, {}, 'num_classes=5, but its text bank has 3 names'),
        (3, dict(head=dict(threshold=0.1)), 'names all 3 classes'),
        (3, dict(background_words=('sky',)), 'names all 3 classes'),
        (4, {}, 'class 0 is the background: define it'),
        (4, dict(head=dict(threshold=1.5)), r'threshold=1.5 .*\[0, 1\]'),
        (4, dict(head=dict(logit_scale=0)), 'logit_scale=0'),
        (4, dict(head=dict(norm_axis='x')), "norm_axis='x'"),
        (4, dict(synonyms='max'), "synonyms='max'"),
    ],
)
def test_bad_values(make_head, make_features, num_classes, options, message):
    with pytest.raises(ValueError, match=message):
        make_head(num_classes, **options)(make_features())


@torch.no_grad()
def test_bad_input(make_head, make_features):
    head = make_head(3)
    with pytest.raises(ValueError, match='PatchTextHead needs .*with_tokens'):
        head(make_features()[:1])
    with pytest.raises(RuntimeError, match='PatchTextHead has nothing to'):
        head.loss(make_features(), [], None)
