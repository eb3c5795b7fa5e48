import pytest
import torch

from mmseg_weakclip.models.refine.affinity import (
    random_walk,
    refine_by_affinity,
    select_layers,
    sinkhorn_affinity,
)


def naive_sinkhorn(attention, rounds, power):
    result = []
    for matrix in attention.double().cpu():
        count = len(matrix)
        for _ in range(rounds):
            for j in range(count):
                matrix[:, j] = matrix[:, j] / matrix[:, j].sum()
            for i in range(count):
                matrix[i] = matrix[i] / matrix[i].sum()
        matrix = (matrix + matrix.T) / 2
        product = torch.eye(count, dtype=torch.float64)
        for _ in range(power):
            product = product @ matrix
        result.append(product.float())
    return torch.stack(result)


@pytest.mark.parametrize('rounds', [0, 1, 3])
@pytest.mark.parametrize('power', [1, 2, 3])
def test_sinkhorn_is_its_formula(device, rounds, power):
    attention = torch.randn(2, 6, 6).softmax(-1)
    expected = naive_sinkhorn(attention.clone(), rounds, power)
    affinity = sinkhorn_affinity(attention.to(device), rounds, power)
    torch.testing.assert_close(affinity.cpu(), expected)


def test_sinkhorn_is_symmetric_and_nearly_doubly_stochastic(device):
    attention = torch.randn(2, 20, 20).to(device).softmax(-1)
    affinity = sinkhorn_affinity(attention)
    torch.testing.assert_close(affinity, affinity.transpose(1, 2))
    assert (affinity.sum(1) - 1).abs().max() < 0.02
    more = sinkhorn_affinity(attention, rounds=30)
    torch.testing.assert_close(
        more.sum(1), torch.ones_like(more[:, 0]), atol=1e-4, rtol=0
    )


def test_sinkhorn_leaves_its_input_and_knows_no_autocast(device):
    attention = torch.randn(1, 8, 8).to(device).softmax(-1)
    before = attention.clone()
    expected = sinkhorn_affinity(attention)
    with torch.autocast(device.type, torch.bfloat16):
        assert torch.equal(sinkhorn_affinity(attention), expected)
    assert torch.equal(attention, before)


def test_a_patch_without_attention_stays_finite():
    attention = torch.rand(1, 4, 4)
    attention[:, 2] = 0
    attention[:, :, 2] = 0
    assert sinkhorn_affinity(attention).isfinite().all()


def test_sinkhorn_arguments_are_checked():
    with pytest.raises(ValueError, match=r'\(2, 3, 4\)'):
        sinkhorn_affinity(torch.rand(2, 3, 4))
    with pytest.raises(ValueError, match='-1 and 2'):
        sinkhorn_affinity(torch.rand(2, 3, 3), rounds=-1)
    with pytest.raises(ValueError, match='3 and 0'):
        sinkhorn_affinity(torch.rand(2, 3, 3), power=0)


def test_rows_receive_and_columns_give(device):
    """Patch 0 takes from patch 3 only: A[0, 3] is the sole entry."""
    cam = torch.arange(1.0, 7.0, device=device).view(1, 1, 2, 3)
    affinity = torch.zeros(1, 6, 6, device=device)
    affinity[0, 0, 3] = 0.5
    refined = refine_by_affinity(cam, affinity)
    expected = torch.zeros_like(cam)
    expected[0, 0, 0, 0] = 0.5 * 4
    assert torch.equal(refined, expected)


def test_mask_closes_the_columns_of_each_class(device):
    cam = torch.rand(2, 3, 2, 3).to(device)
    affinity = torch.rand(2, 6, 6).to(device)
    mask = torch.rand(2, 3, 2, 3).to(device) > 0.5
    refined = refine_by_affinity(cam, affinity, mask)
    for b in range(2):
        for k in range(3):
            columns = affinity[b] * mask[b, k].flatten()
            expected = (columns @ cam[b, k].flatten()).view(2, 3)
            torch.testing.assert_close(refined[b, k], expected)


def test_identity_keeps_the_masked_map(device):
    cam = torch.rand(2, 3, 4, 5).to(device)
    mask = torch.rand(2, 3, 4, 5).to(device) > 0.5
    eye = torch.eye(20, device=device).expand(2, -1, -1)
    torch.testing.assert_close(refine_by_affinity(cam, eye), cam)
    torch.testing.assert_close(refine_by_affinity(cam, eye, mask), cam * mask)


@pytest.mark.parametrize('function', [refine_by_affinity, random_walk])
def test_affinity_must_fit_the_maps(function):
    with pytest.raises(ValueError, match=r'\(2, 20, 20\), got \(2, 16, 16\)'):
        function(torch.rand(2, 3, 4, 5), torch.rand(2, 16, 16))


def test_random_walk_is_its_formula(device):
    cam = torch.rand(2, 3, 2, 3).to(device)
    affinity = torch.rand(2, 6, 6).to(device)
    walk = affinity**2.5
    walk = walk / walk.sum(2, keepdim=True)
    expected = torch.linalg.matrix_power(walk, 4) @ cam.flatten(2).mT
    expected = expected.mT.reshape(cam.shape)
    walked = random_walk(cam, affinity, beta=2.5, steps=4)
    torch.testing.assert_close(walked, expected)


def test_random_walk_keeps_constants_and_starts_at_the_map(device):
    affinity = torch.rand(1, 12, 12).to(device)
    cam = torch.rand(1, 2, 3, 4).to(device)
    assert torch.equal(random_walk(cam, affinity, steps=0), cam)
    constant = torch.full_like(cam, 0.7)
    torch.testing.assert_close(random_walk(constant, affinity), constant)


def test_random_walk_mixes_connected_patches_only(device):
    affinity = torch.zeros(1, 4, 4, device=device)
    affinity[0, :2, :2] = affinity[0, 2:, 2:] = 1
    cam = torch.tensor([1.0, 0.0, 0.0, 0.0], device=device).view(1, 1, 2, 2)
    walked = random_walk(cam, affinity)
    assert walked.flatten().tolist() == [0.5, 0.5, 0.0, 0.0]


def test_random_walk_survives_small_affinities(device):
    """1e-8 to the power of 8 is no float32."""
    cam = torch.rand(1, 1, 2, 2).to(device)
    affinity = torch.rand(1, 4, 4).to(device)
    torch.testing.assert_close(
        random_walk(cam, 1e-8 * affinity), random_walk(cam, affinity)
    )


def test_random_walk_needs_steps():
    with pytest.raises(ValueError, match='steps.*-1'):
        random_walk(torch.rand(1, 1, 2, 2), torch.rand(1, 4, 4), steps=-1)


def test_select_layers_by_hand(device):
    """Two patches, three layers: the first two are near to G."""
    near = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    nearer = torch.tensor([[0.9, 0.5], [0.2, 0.8]])
    far = torch.tensor([[0.1, 0.1], [0.0, 0.0]])
    relation = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    attention = torch.stack([near, nearer, far])[:, None].to(device)
    # d = 1.0, 0.6, 2.8; their mean is 1.47.
    expected = (near + nearer) / 2 * relation
    ours = select_layers(attention, relation[None].to(device))
    assert torch.allclose(ours[0].cpu(), expected)


RULES = pytest.mark.parametrize('rule', ['published', 'agreement'])


@RULES
def test_select_layers_image_by_image(device, rule):
    attention = torch.rand(4, 3, 6, 6, device=device)
    relation = torch.rand(3, 6, 6, device=device)
    together = select_layers(attention, relation, rule)
    for index in range(3):
        part = slice(index, index + 1)
        alone = select_layers(attention[:, part], relation[part], rule)
        assert torch.allclose(alone[0], together[index], atol=1e-6)
    same = attention[:1].expand(4, -1, -1, -1)
    assert torch.allclose(
        select_layers(same, relation, rule),
        attention[0] * relation,
        atol=1e-6,
    )


@torch.no_grad()
def test_the_relation_has_no_say_in_the_published_rule(device):
    """It weighs the mean, but whichever it is, the same layers are chosen."""
    attention = torch.rand(5, 1, 6, 6, device=device)
    chosen = [
        select_layers(attention, relation) / relation
        for relation in torch.rand(4, 1, 6, 6, device=device) + 0.5
    ]
    for other in chosen[1:]:
        assert torch.allclose(other, chosen[0], atol=1e-6)
    heavy = [k for k in range(5) if attention[k].sum() >= attention.sum() / 5]
    assert torch.allclose(chosen[0], attention[heavy].mean(0), atol=1e-6)


def test_agreement_by_hand(device):
    """Cosines of rows: alike (1, 1), crossed (0, 0) and half (1, 0)."""
    relation = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    alike = torch.tensor([[0.2, 0.0], [0.0, 0.4]])
    crossed = torch.tensor([[0.0, 9.0], [9.0, 0.0]])
    half = torch.tensor([[0.3, 0.0], [0.6, 0.0]])
    attention = torch.stack([alike, crossed, half])[:, None].to(device)
    ours = select_layers(attention, relation[None].to(device), 'agreement')
    # The mean is 0.5, so half of the rows are enough.
    expected = (alike + half) / 2 * relation
    assert torch.allclose(ours[0].cpu(), expected)
    # By mass alone, as published, the crossed one would be the only one.
    other = select_layers(attention, relation[None].to(device))
    assert torch.allclose(other[0].cpu(), crossed * relation)


def test_agreement_is_blind_to_the_scale_of_a_layer(device):
    attention = torch.rand(4, 2, 6, 6, device=device)
    relation = torch.rand(2, 6, 6, device=device)
    scale = torch.tensor([0.1, 2.0, 12.0, 1.0], device=device)
    rows = torch.nn.functional.cosine_similarity(
        attention, relation.expand_as(attention), dim=-1
    ).mean(-1)
    kept = (rows >= rows.mean(0)).float()[..., None, None]
    scaled = attention * scale[:, None, None, None]
    expected = (scaled * kept).sum(0) / kept.sum(0) * relation
    ours = select_layers(scaled, relation, 'agreement')
    assert torch.allclose(ours, expected, atol=1e-5)


def test_unknown_rule_is_named():
    with pytest.raises(ValueError, match="layer_filter='best'"):
        select_layers(torch.rand(2, 1, 3, 3), torch.rand(1, 3, 3), 'best')


def test_select_layers_wants_one_relation_an_image(device):
    with pytest.raises(ValueError, match='differ in batch'):
        select_layers(torch.rand(4, 3, 6, 6), torch.rand(2, 6, 6))
