"""CAM makers over towers without a class token, or with rotary positions."""

import pytest
import torch
import torch.nn.functional as F
from tiny_clips import WIDTH, tiny_clips

from mmseg_weakclip.models.cam.attention_affinity import AttentionAffinity
from mmseg_weakclip.models.cam.grad_cam import softmax_grad_cam
from mmseg_weakclip.models.cam.patch_text import token_text_similarity
from mmseg_weakclip.models.clip.vit import CLIPViT
from mmseg_weakclip.models.excel.pseudo_labels import shift_dense_stream

LABELS = [(0, 2), (1,)]
MODELS = ('ViT-B-16-SigLIP', 'PE-Core-B-16', 'ViT-L-14-CLIPA')


@pytest.fixture(params=MODELS)
def vit(request):
    options = dict(with_tokens=True, hidden_states=True, attention_layers=2)
    with tiny_clips(request.param):
        vit = CLIPViT(request.param, None, dense='naclip', **options)
    for parameter in vit.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return vit.eval()


@pytest.fixture
def text():
    return F.normalize(torch.randn(5, WIDTH), dim=-1)


@pytest.fixture
def images(vit):
    side = vit.tower.patch_size
    return torch.randn(2, 3, 2 * side, 4 * side)


@pytest.mark.parametrize('pool', ['patch', 'class'])
def test_grad_cam(vit, images, text, pool):
    """The first block of two, so that the second runs again with places."""
    options = dict(num_foreground=3, block=0, pool=pool)
    tokens = vit(images)[-1]
    cams = softmax_grad_cam(tokens, text, LABELS, **options)
    assert cams.shape == (2, 3, 2, 4)
    assert cams[0, 0].any()
    assert not cams[0, 1].any()
    alone = vit(images[1:])[-1]
    one = softmax_grad_cam(alone, text, LABELS[1:], **options)
    assert torch.allclose(cams[1:], one, atol=1e-5)
    # By the formula: what autograd gives for the probability of the class.
    blocks = vit.tower.attention_blocks(tokens.grid)
    normed = blocks[0].norm(tokens.hidden[0][1:]).detach().requires_grad_()
    value = blocks[0].project(normed)
    scores = value.query @ value.key.mT / value.query.shape[-1] ** 0.5
    mixed = (scores.softmax(-1) @ value.value).transpose(1, 2).flatten(2)
    x = blocks[1].run(blocks[0].finish(tokens.hidden[0][1:], mixed))
    first = vit.tower.prefix
    if pool == 'class':
        pooled = vit.tower.embed_image(x)
    else:
        pooled = vit.tower.embed(x[:, first:]).mean(1)
    logits = 100 * F.normalize(pooled, dim=-1) @ text.T
    (gradient,) = torch.autograd.grad(
        logits[0, [1, 3, 4]].softmax(0)[0], normed
    )
    weights = gradient[0, first:].mean(0)
    expected = (normed[0, first:] @ weights).relu().view(2, 4)
    assert torch.allclose(cams[1, 1], expected, atol=1e-5)


def test_similarities_and_affinities(vit, images, text):
    tokens = vit(images)[-1]
    maps, image = token_text_similarity(tokens, text)
    assert maps.shape == (2, 5, 2, 4)
    expected = F.cosine_similarity(
        tokens.class_embedding[:, None], text[None], dim=-1
    )
    assert torch.allclose(image[..., 0], expected, atol=1e-5)
    assert tokens.attention.shape[-1] == vit.tower.prefix + 8
    affinity = AttentionAffinity(box_threshold=None)
    assert affinity(torch.rand(2, 3, 2, 4), tokens).shape == (2, 3, 2, 4)
    moved = shift_dense_stream(tokens, torch.randn(2, 8, 8))
    assert moved.patch_embeddings.shape == (2, WIDTH, 2, 4)


def test_norm_behind_the_attention_is_refused():
    with tiny_clips('EVA02-B-16'):
        dense = dict(preset='excel', layers=2)
        vit = CLIPViT('EVA02-B-16', None, dense=dense, with_tokens=True)
    tokens = vit(torch.randn(1, 3, 32, 32))[-1]
    with pytest.raises(ValueError, match='EVA-02 has one'):
        shift_dense_stream(tokens, torch.randn(1, 4, 4))
