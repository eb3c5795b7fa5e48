import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.cam.grad_cam import GradCAMHead

OPTIONS = dict(hidden_states=True, attention_layers=4)


def make_head(device, text, **kwargs):
    torch.manual_seed(1)
    head = GradCAMHead(
        num_classes=4,
        text=text,
        background=dict(threshold=0.4),
        logit_scale=20.0,
        **kwargs,
    )
    return head.to(device).eval()


def naive_cam(head, tokens, image, rivals, class_id):
    """One image, one class, with autograd through open_clip's own blocks."""
    tower = tokens.tower
    start = head.block % len(tower.blocks)
    x = tokens.hidden[start][image : image + 1]
    block = tower.blocks[start]
    normed = block.ln_1(x).detach().requires_grad_()
    x = x + block.attn(normed, normed, normed, need_weights=False)[0]
    x = x + block.mlp(block.ln_2(x))
    for block in tower.blocks[start + 1 :]:
        x = block(x)
    x = tower.module.ln_post(x)
    pooled = x[:, 0] if head.pool == 'class' else x[:, 1:].mean(1)
    feature = F.normalize(pooled @ tower.module.proj, dim=-1)[0]
    logits = head.logit_scale * head.text()[rivals] @ feature
    score = logits.softmax(0)[rivals.index(class_id)]
    (gradient,) = torch.autograd.grad(score, normed)
    weights = gradient[0, 1:].mean(0)
    return (normed.detach()[0, 1:] @ weights).relu().view(tokens.grid)


@pytest.mark.parametrize('block', [-1, 2])
@pytest.mark.parametrize('pool', ['patch', 'class'])
def test_equals_naive_gradients(device, text_cfg, make_features, block, pool):
    head = make_head(device, text_cfg, block=block, pool=pool)
    tokens = make_features(**OPTIONS)[-1]
    cams = head.cams(tokens, head.text(), [(0, 2), (1,)])
    # Own classes, then the two background words.
    for image, class_id, rivals in (
        (0, 0, [0, 2, 3, 4]),
        (0, 2, [0, 2, 3, 4]),
        (1, 1, [1, 3, 4]),
    ):
        expected = naive_cam(head, tokens, image, rivals, class_id)
        assert expected.max() > 0
        scale = expected.max()
        ours = cams[image, class_id]
        assert torch.allclose(ours / scale, expected / scale, atol=1e-4)


def test_works_without_gradients_around(
    device, text_cfg, make_features, make_metas
):
    head = make_head(device, text_cfg, affinity=dict(box_threshold=0.4))
    features = make_features(**OPTIONS)
    metas = make_metas((1, 3), (2,))
    with torch.no_grad():
        scores = head.predict(features, metas, None)
    assert not scores.requires_grad
    assert scores.shape == (2, 4, 40, 56)
    assert torch.equal(scores, head.predict(features, metas, None))


def test_gradients_only_from_the_chosen_block_on(
    device, text_cfg, make_features, monkeypatch
):
    head = make_head(device, text_cfg, block=3)
    tokens = make_features(**OPTIONS)[-1]
    ran = []
    for index, block in enumerate(tokens.tower.blocks):
        block.mlp.register_forward_hook(
            lambda *_, index=index: ran.append(index)
        )
    head.cams(tokens, head.text(), [(0,), (1,)])
    assert ran == [3, 4, 5]
    assert all(p.grad is None for p in tokens.tower.parameters())


def test_images_with_different_numbers_of_labels(
    device, text_cfg, make_features, make_metas
):
    head = make_head(device, text_cfg)
    features = make_features(batch=3, **OPTIONS)
    scores = head.predict(features, make_metas((), (1, 2, 3), (2,)), None)
    assert (scores[0, 1:] == 0).all()
    assert (scores[1, 1:].amax((1, 2)) > 0).all()
    alone = head.predict(
        make_features(batch=1, **OPTIONS), make_metas(()), None
    )
    assert torch.equal(alone[0], scores[0])


def test_bad_input(device, text_cfg, make_features):
    with pytest.raises(ValueError, match='hidden_states=True'):
        make_head(device, text_cfg)(make_features())
    with pytest.raises(ValueError, match='block=6, .* 6 blocks'):
        make_head(device, text_cfg, block=6)(make_features(**OPTIONS))
    with pytest.raises(ValueError, match="pool='all'"):
        make_head(device, text_cfg, pool='all')
