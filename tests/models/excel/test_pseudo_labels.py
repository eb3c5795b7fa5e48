from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.cam.attention_affinity import AttentionAffinity
from mmseg_weakclip.models.cam.grad_cam import softmax_grad_cam
from mmseg_weakclip.models.cam.patch_text import patch_text_similarity
from mmseg_weakclip.models.clip.text import TemplateText
from mmseg_weakclip.models.excel.pseudo_labels import (
    ClassMaps,
    maps_to_labels,
    pad_labels,
    scatter_maps,
    shift_dense_stream,
)
from mmseg_weakclip.models.refine.cam import normalize_cam
from mmseg_weakclip.models.refine.par import refine_by_pixels

LABELS = [(0, 2), (1,)]
KEEP_ALL = dict(min_support=None)


@pytest.fixture
def text(text_cfg, device):
    options = {key: text_cfg[key] for key in text_cfg if key != 'type'}
    return TemplateText(**options).to(device)()


def test_pad_labels(device):
    assert pad_labels(LABELS, device).tolist() == [[0, 2], [1, -1]]
    assert pad_labels([(), ()], device).tolist() == [[-1], [-1]]


def test_scatter_by_hand(device):
    maps = torch.tensor([[[[0.1]], [[0.2]]], [[[0.3]], [[0.4]]]]).to(device)
    ids = torch.tensor([[2, 0], [1, -1]], device=device)
    expected = [[0.2, 0, 0.1], [0, 0.3, 0]]
    found = scatter_maps(maps, ids, 3)[..., 0, 0]
    assert torch.allclose(found.cpu(), torch.tensor(expected))


@torch.no_grad()
def test_maps_are_those_of_all_classes(make_features, text):
    """Only present classes are looked at, and that changes nothing."""
    tokens = make_features()[-1]
    maps, ids = ClassMaps(3, **KEEP_ALL)(tokens, text, LABELS)
    assert ids.tolist() == [[0, 2], [1, -1]]
    every = normalize_cam(patch_text_similarity(tokens, text, redundancy=True))
    assert torch.allclose(maps[0], every[0, [0, 2]])
    assert torch.allclose(maps[1, 0], every[1, 1])
    assert (maps[1, 1] == 0).all()


@torch.no_grad()
@pytest.mark.parametrize('axis', ['channel', 'token'])
def test_class_token_among_the_extremes(make_features, text, axis):
    """ExCEL's code: min-max over all tokens, then the class token goes."""
    tokens = make_features()[-1]
    # Of the text of class 0, and so above all patches there.
    token = 20 * text[:1].expand(2, -1)
    tokens = replace(tokens, class_embedding=token)
    patches = tokens.patch_embeddings.flatten(2).transpose(1, 2)
    features = torch.cat([tokens.class_embedding[:, None], patches], 1)
    features = features / features.norm(
        dim=2 if axis == 'channel' else 1, keepdim=True
    )
    similarity = features @ text.T
    weights = (2 * similarity[:, :1]).softmax(-1)
    similarity = similarity * weights / weights.mean(-1, keepdim=True)
    similarity = similarity - similarity.mean(-1, keepdim=True)
    low, high = similarity.amin(1, True), similarity.amax(1, True)
    expected = ((similarity - low) / (high - low))[:, 1:]
    module = ClassMaps(
        3, norm_axis=axis, class_token_extremes=True, **KEEP_ALL
    )
    maps, _ = module(tokens, text, LABELS)
    for image, own in enumerate(LABELS):
        for place, label in enumerate(own):
            assert torch.allclose(
                maps[image, place].flatten(),
                expected[image, :, label],
                atol=1e-5,
            )
    plain, _ = ClassMaps(3, norm_axis=axis, **KEEP_ALL)(tokens, text, LABELS)
    assert not torch.allclose(maps, plain, atol=1e-2)


@torch.no_grad()
def test_batch_equals_image_by_image(make_features, text):
    """With attention spread, whatever the neighbours' classes."""
    module = ClassMaps(3, affinity=dict(box_threshold=0.4), **KEEP_ALL)
    tokens = make_features()[-1]
    together, _ = module(tokens, text, LABELS)
    affinity = AttentionAffinity(0.4)
    similarity = patch_text_similarity(tokens, text, redundancy=True)
    for image, own in enumerate(LABELS):
        for place, label in enumerate(own):
            alone = normalize_cam(similarity[:, label : label + 1])
            alone = normalize_cam(affinity(alone, tokens))
            assert torch.allclose(
                together[image, place], alone[image, 0], atol=1e-5
            )


@torch.no_grad()
def test_class_without_support_is_dropped(make_features, text):
    tokens = make_features()[-1]
    similarity = patch_text_similarity(tokens, text, redundancy=True)
    support = similarity[0, 0].max().item()
    maps, ids = ClassMaps(3, min_support=support)(tokens, text, LABELS)
    assert ids[0, 0] == -1
    assert (maps[0, 0] == 0).all()
    _, ids = ClassMaps(3, min_support=99)(tokens, text, LABELS, in_view=True)
    assert ids.tolist() == [[0, 2], [1, -1]]
    _, ids = ClassMaps(3, min_support=support - 1e-3)(tokens, text, LABELS)
    assert ids[0, 0] == 0


@torch.no_grad()
def test_relation_picks_the_attention(make_features, text):
    tokens = make_features()[-1]
    module = ClassMaps(
        3, affinity=dict(box_threshold=0.4), calibrate=False, **KEEP_ALL
    )
    number = tokens.grid[0] * tokens.grid[1]
    scores = torch.randn(2, number, number, device=text.device)
    plain, _ = module(tokens, text, LABELS)
    chosen, _ = module(tokens, text, LABELS, scores)
    assert not torch.allclose(plain, chosen, atol=1e-2)
    moved = ClassMaps(3, calibrate=True, **KEEP_ALL)(
        tokens, text, LABELS, scores
    )[0]
    shifted = shift_dense_stream(tokens, scores)
    expected = ClassMaps(3, **KEEP_ALL)(shifted, text, LABELS)[0]
    assert torch.equal(moved, expected)


def test_labels_equal_image_by_image(device):
    """Against the published way: each image with its own classes."""
    images = torch.randint(0, 256, (2, 3, 20, 30), device=device)
    maps = torch.rand(2, 2, 5, 6, device=device)
    ids = torch.tensor([[0, 2], [1, -1]], device=device)
    maps[1, 1] = 0
    ours = maps_to_labels(maps, ids, images, 2.0, dict(iterations=3))
    for image, own in enumerate(LABELS):
        present = maps[image : image + 1, : len(own)]
        present = F.interpolate(present, (20, 30), mode='bilinear')
        background = (1 - present.amax(1, keepdim=True)) ** 2
        scores = refine_by_pixels(
            images[image : image + 1],
            torch.cat([background, present], 1),
            iterations=3,
        )
        table = torch.tensor([0, *(label + 1 for label in own)])
        expected = table.to(device)[scores[0].argmax(0)]
        assert torch.equal(ours[image], expected)


def test_no_class_is_all_background(device):
    images = torch.randint(0, 256, (1, 3, 9, 11), device=device)
    maps = torch.zeros(1, 1, 3, 3, device=device)
    ids = torch.full((1, 1), -1, device=device)
    labels = maps_to_labels(maps, ids, images)
    assert labels.shape == (1, 9, 11)
    assert (labels == 0).all()


def test_a_sure_map_is_its_class(device):
    """One everywhere: the background has nothing left."""
    images = torch.randint(0, 256, (1, 3, 8, 8), device=device)
    ids = torch.tensor([[1]], device=device)
    labels = maps_to_labels(torch.ones(1, 1, 4, 4).to(device), ids, images)
    assert (labels == 2).all()
    assert F.one_hot(labels).shape[-1] == 3


def test_maps_by_grad_cam(make_features, text):
    """WeCLIP's: those of CLIP-ES, of present classes, even without grad."""
    tokens = make_features()[-1]
    module = ClassMaps(3, grad_cam=dict(logit_scale=20.0), min_support=99)
    with torch.no_grad():
        maps, ids = module(tokens, text, LABELS)
    assert ids.tolist() == [[0, 2], [1, -1]]
    every = normalize_cam(
        softmax_grad_cam(tokens, text, LABELS, 3, logit_scale=20.0)
    )
    assert torch.allclose(maps[0], every[0, [0, 2]])
    assert torch.allclose(maps[1, 0], every[1, 1])
    assert not maps.requires_grad
