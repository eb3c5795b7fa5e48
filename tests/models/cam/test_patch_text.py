from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.cam.attention_affinity import AttentionAffinity
from mmseg_weakclip.models.cam.patch_text import (
    patch_text_similarity,
    remove_redundancy,
)
from mmseg_weakclip.models.cam.patch_text_cam import PatchTextCAMHead
from mmseg_weakclip.models.refine.affinity import (
    refine_by_affinity,
    select_layers,
    sinkhorn_affinity,
)
from mmseg_weakclip.models.refine.boxes import box_mask
from mmseg_weakclip.models.refine.transport import transport_cams


def make_head(device, text, **kwargs):
    torch.manual_seed(1)
    kwargs = dict(dict(background=dict(threshold=0.4)), **kwargs)
    head = PatchTextCAMHead(num_classes=4, text=text, **kwargs)
    return head.to(device).eval()


def test_redundancy_removal_equals_feature_surgery(device):
    """The (B, N, M, E) form of CLIP Surgery, which it must not need."""
    features = F.normalize(torch.randn(2, 7, 16, device=device), dim=-1)
    text = F.normalize(torch.randn(5, 16, device=device), dim=-1)
    products = features[:, :, None] * text  # (B, N, M, E)
    class_similarity = features[:, 0] @ text.T
    weights = (2 * class_similarity).softmax(-1)
    weights = weights / weights.mean(-1, keepdim=True)
    weighted = products * weights[:, None, :, None]
    expected = (weighted - weighted.mean(2, keepdim=True)).sum(-1)
    ours = remove_redundancy(features @ text.T, class_similarity)
    assert torch.allclose(ours, expected, atol=1e-6)
    # What all texts share is gone.
    assert torch.allclose(ours.sum(-1), torch.zeros(2, 7).to(ours), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('with_class', [False, True])
@pytest.mark.parametrize('axis', ['channel', 'token'])
def test_scores_by_hand(
    device, text_cfg, make_features, make_metas, axis, with_class
):
    head = make_head(
        device,
        text_cfg,
        norm_axis=axis,
        redundancy=False,
        class_token_extremes=with_class,
    )
    *levels, tokens = make_features(dense='maskclip')
    # Of class 0, and so above all patches there.
    token = 20 * head.text()[:1].expand(2, -1)
    features = *levels, replace(tokens, class_embedding=token)
    scores = head.predict(features, make_metas((1, 3), (2,)), None)
    assert scores.shape == (2, 4, 40, 56)
    tokens = features[-1]
    patches = tokens.patch_embeddings.flatten(2).transpose(1, 2)
    whole = torch.cat([tokens.class_embedding[:, None], patches], 1)
    unit = F.normalize(whole, dim=-1 if axis == 'channel' else 1)
    every = (unit @ head.text().T)[..., :3].transpose(1, 2)
    cams = every[..., 1:]
    among = every if with_class else cams
    low, high = among.amin(-1, keepdim=True), among.amax(-1, keepdim=True)
    cams = ((cams - low) / (high - low)).unflatten(2, (5, 7))
    assert (cams[:, 0].amax() < 0.999) == with_class
    expected = F.interpolate(cams, (40, 56), mode='bilinear')
    assert torch.allclose(scores[0, 1], expected[0, 0], atol=1e-5)
    assert torch.allclose(scores[0, 3], expected[0, 2], atol=1e-5)
    assert torch.allclose(scores[1, 2], expected[1, 1], atol=1e-5)


@torch.no_grad()
def test_absent_classes_are_zero(device, text_cfg, make_features, make_metas):
    head = make_head(device, text_cfg)
    scores = head.predict(make_features(), make_metas((2,), (1, 3)), None)
    assert (scores[:, 0] == 0.4).all()
    assert (scores[0, [1, 3]] == 0).all()
    assert (scores[1, 2] == 0).all()
    assert scores[0, 2].max() > 0.4


@torch.no_grad()
def test_power_background(device, text_cfg, make_features, make_metas):
    head = make_head(device, text_cfg, background=dict(power=2.0))
    scores = head.predict(make_features(), make_metas((2,), (1, 3)), None)
    expected = (1 - scores[:, 1:].amax(1)) ** 2
    assert torch.allclose(scores[:, 0], expected)


@torch.no_grad()
def test_batch_of_one_equals_batch(
    device, text_cfg, make_features, make_metas
):
    head = make_head(device, text_cfg, affinity=dict(box_threshold=0.4))
    options = dict(dense='excel', attention_layers=3)
    metas = make_metas((1, 3), (2,))
    together = head.predict(make_features(**options), metas, None)
    # The fixture draws its images in order: a batch of one has the first.
    alone = head.predict(make_features(batch=1, **options), metas[:1], None)
    assert torch.allclose(alone[0], together[0], atol=1e-4)


@torch.no_grad()
def test_an_image_without_labels_is_background(
    device, text_cfg, make_features, make_metas
):
    head = make_head(device, text_cfg)
    scores = head.predict(make_features(batch=1), make_metas(()), None)
    assert (scores.argmax(1) == 0).all()


@torch.no_grad()
def test_affinity_changes_and_needs_attention(
    device, text_cfg, make_features, make_metas
):
    plain = make_head(device, text_cfg)
    refined = make_head(device, text_cfg, affinity=dict(box_threshold=0.4))
    metas = make_metas((1, 3), (2,))
    features = make_features(attention_layers=4)
    before = plain.predict(features, metas, None)
    after = refined.predict(features, metas, None)
    assert not torch.allclose(before, after, atol=1e-2)
    assert after.min() >= 0
    assert after.max() <= 1 + 1e-6
    with pytest.raises(ValueError, match='attention_layers'):
        refined.predict(make_features(), metas, None)


def test_bad_input(device, text_cfg, make_features, make_metas):
    head = make_head(device, text_cfg)
    features = make_features()
    metas = make_metas((1,), (2,))
    with pytest.raises(ValueError, match='with_tokens=True'):
        head.predict(features[:1], metas, None)
    with pytest.raises(ValueError, match=r'1.jpg has .*\(4,\).* 1 to 3'):
        head.predict(features, make_metas((1,), (4,)), None)
    del metas[0]['image_labels']
    with pytest.raises(ValueError, match='0.jpg .*LoadImageLabels'):
        head.predict(features, metas, None)
    with pytest.raises(ValueError, match='num_classes=9 .* 3 names'):
        PatchTextCAMHead(
            num_classes=9, text=text_cfg, background=dict(threshold=0.4)
        ).to(device)(features)
    with pytest.raises(ValueError, match="one text .* synonyms='mean'"):
        make_head(
            device,
            dict(
                text_cfg,
                names=('boat', ('car', 'bird'), 'fish'),
                synonyms='keep',
            ),
        )(features)
    with pytest.raises(ValueError, match="norm_axis='x'"):
        make_head(device, text_cfg, norm_axis='x')
    with pytest.raises(RuntimeError, match='nothing to train'):
        head.loss(features, [], None)


@torch.no_grad()
def test_layers_can_weigh_differently(
    device, text_cfg, make_features, make_metas
):
    metas, features = (
        make_metas((1, 3), (2,)),
        make_features(attention_layers=3),
    )

    def predict(**affinity):
        head = make_head(device, text_cfg, affinity=affinity)
        return head.predict(features, metas, None)

    plain = predict()
    # Sinkhorn forgets a factor that all share; these maps of random weights
    # are nearly flat, and min-max blows rounding up.
    assert torch.allclose(predict(layer_weights=(5, 5, 5)), plain, atol=1e-2)
    assert not torch.allclose(
        predict(layer_weights=(1, 12, 12)), plain, atol=1e-1
    )
    with pytest.raises(ValueError, match='layer_weights=.* of 3 blocks'):
        predict(layer_weights=(1, 2))


@torch.no_grad()
def test_last_layers_before_and_with_a_relation(device, make_features):
    """Three of four blocks are averaged, two are there to pick from."""
    tokens = make_features(attention_layers=4)[-1]
    number = tokens.grid[0] * tokens.grid[1]
    cams = torch.rand(2, 3, *tokens.grid, device=device)
    relation = torch.rand(2, number, number, device=device)
    module = AttentionAffinity(0.4, layers=3, relation_layers=2)

    def spread(attention):
        return refine_by_affinity(
            cams, sinkhorn_affinity(attention), box_mask(cams, 0.4)
        )

    patches = tokens.attention[:, :, 1:, 1:]
    assert torch.allclose(
        module(cams, tokens), spread(patches[1:].mean(0)), atol=1e-6
    )
    assert torch.allclose(
        module(cams, tokens, relation),
        spread(select_layers(patches[2:], relation)),
        atol=1e-6,
    )
    with pytest.raises(ValueError, match='layers=5 of the attention of 4'):
        AttentionAffinity(layers=5)(cams, tokens)
    with pytest.raises(ValueError, match='relation_layers=0 must'):
        AttentionAffinity(relation_layers=0)


@torch.no_grad()
@pytest.mark.parametrize('spread', [False, True])
def test_transport_of_own_classes_and_background_words(
    device, text_cfg, make_features, make_metas, spread
):
    options = dict(smoothness=0.2, sharpness=3.0)
    affinity = dict(box_threshold=None) if spread else None
    head = make_head(
        device, text_cfg, transport=options, affinity=affinity,
        redundancy=False,
    )  # fmt: skip
    features = make_features(dense='maskclip', attention_layers=2)
    scores = head.predict(features, make_metas((1, 3), (2,)), None)
    tokens = features[-1]
    maps = patch_text_similarity(tokens, head.text())
    if spread:
        matrix = sinkhorn_affinity(tokens.attention[:, :, 1:, 1:].mean(0))
        maps = refine_by_affinity(maps, matrix)
    for index, own in enumerate([(0, 2), (1,)]):
        # Each image alone, with the rows that take part and no others.
        rows = [*own, 3, 4]
        alone = transport_cams(
            maps[index : index + 1, rows],
            torch.ones(1, len(rows), dtype=torch.bool, device=device),
            **options,
        )
        expected = F.interpolate(alone, (40, 56), mode='bilinear')[0]
        for place, label in enumerate(own):
            assert torch.allclose(
                scores[index, label + 1], expected[place], atol=1e-4
            )
    assert (scores[0, 2] == 0).all()


def test_transport_needs_a_choice(device, text_cfg, make_features, make_metas):
    lonely = dict(text_cfg, background_words=())
    head = make_head(device, lonely, transport=dict())
    with pytest.raises(ValueError, match='needs background words'):
        head.predict(make_features(), make_metas((1,), (2,)), None)
    with pytest.raises(ValueError, match='box_threshold=None'):
        make_head(device, text_cfg, transport=dict(), affinity=dict())
    with pytest.raises(ValueError, match='class_token_extremes'):
        make_head(
            device, text_cfg, transport=dict(), class_token_extremes=True
        )
