import math

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmseg_weakclip.models.clip.position import interpolate_position
from mmseg_weakclip.models.clip.tokens import CLIPTokens


def test_native_size_equals_open_clip(make_vit, device):
    vit = make_vit(out_indices=(0, 3, -1), with_tokens=True)
    images = torch.randn(2, 3, 96, 96, device=device)
    *maps, tokens = vit(images)
    visual = vit.tower.module
    with torch.no_grad():
        expected = visual.forward_intermediates(images, indices=[0, 3, 5])
    for ours, theirs in zip(maps, expected['image_intermediates']):
        assert torch.allclose(ours, theirs, atol=1e-5)
    assert torch.allclose(
        tokens.class_embedding, expected['image_features'], atol=1e-5
    )


@pytest.mark.parametrize('mode', ['bilinear', 'bicubic'])
def test_other_sizes_interpolate_the_position_embedding(make_vit, mode):
    """Against open_clip with a position embedding resized beforehand."""
    vit = make_vit(position_mode=mode)
    device = next(vit.parameters()).device
    images = torch.randn(2, 3, 59, 133, device=device)
    ours = vit(images)[0]
    assert ours.shape == (2, 128, 7, 16)  # floor, on both sides
    visual = vit.tower.module
    position = visual.positional_embedding.data
    grid = position[1:].T.reshape(1, 128, 12, 12)
    resized = F.interpolate(grid, (7, 16), mode=mode, align_corners=False)
    visual.positional_embedding.data = torch.cat(
        [position[:1], resized.flatten(2)[0].T]
    )
    with torch.no_grad():
        cut = images[..., : 7 * 8, : 16 * 8]
        expected = visual.forward_intermediates(cut, indices=[5])
    assert torch.allclose(ours, expected['image_intermediates'][0], atol=1e-5)


def cubic(distance, a=-0.75):
    """Keys's kernel, as PyTorch has it."""
    x = abs(distance)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0


def test_offset_is_that_of_a_slightly_larger_grid():
    """Source of row i: (i + .5) * n / (h + .1) - .5; borders repeat."""
    torch.manual_seed(0)
    position = torch.randn(1 + 16, 3)
    grid = (6, 3)
    found = interpolate_position(position, grid, 'bicubic-offset')
    table = position[1:].view(4, 4, 3)

    def weights(new):
        rows = torch.zeros(new, 4)
        for i in range(new):
            source = (i + 0.5) * 4 / (new + 0.1) - 0.5
            for k in range(math.floor(source) - 1, math.floor(source) + 3):
                rows[i, min(max(k, 0), 3)] += cubic(source - k)
        return rows

    expected = torch.einsum(
        'ia,jb,abd->ijd', weights(grid[0]), weights(grid[1]), table
    )
    assert torch.equal(found[0], position[0])
    assert torch.allclose(found[1:], expected.flatten(0, 1), atol=1e-5)
    by_size = interpolate_position(position, grid, 'bicubic')
    assert not torch.allclose(found, by_size, atol=1e-3)


@pytest.mark.parametrize('grid', [(n, n + 7) for n in range(1, 60, 4)])
def test_offset_never_misses_the_grid(grid):
    position = torch.zeros(1 + 14 * 14, 2)
    found = interpolate_position(position, grid, 'bicubic-offset')
    assert found.shape == (1 + grid[0] * grid[1], 2)


def test_antialiasing_smooths_a_smaller_grid_only():
    """A chessboard becomes its mean inside, where bicubic keeps a pattern."""
    board = torch.arange(144).view(12, 12)
    board = ((board // 12 + board % 12) % 2).float()
    position = torch.cat([torch.zeros(1, 1), board.view(-1, 1)])

    def spread(mode, side):
        rows = interpolate_position(position, (side, side), mode)[1:]
        return (rows.view(side, side)[1:-1, 1:-1] - 0.5).abs().max()

    assert spread('bicubic-antialias', 5) < 0.05 < spread('bicubic', 5)
    fine = [
        interpolate_position(position, (20, 20), mode)
        for mode in ('bicubic-antialias', 'bicubic')
    ]
    # PyTorch's antialiasing has Pillow's kernel, with a = -.5.
    assert (fine[0] - fine[1]).abs().max() < 0.1


def test_modes_have_names(make_vit, device):
    image = torch.randn(1, 3, 59, 133, device=device)
    for mode in ('bicubic-offset', 'bicubic-antialias'):
        maps = make_vit(position_mode=mode)(image)
        assert maps[0].shape == (1, 128, 7, 16)
    with pytest.raises(ValueError, match="position_mode='cubic'.*bicubic-off"):
        make_vit(position_mode='cubic')


def test_interpolation_keeps_class_row_and_native_grid():
    position = torch.randn(1 + 9, 4)
    assert interpolate_position(position, (3, 3)) is position
    other = interpolate_position(position, (2, 5))
    assert other.shape == (11, 4)
    assert torch.equal(other[0], position[0])


def test_batch_of_one_equals_batch(make_vit, device):
    vit = make_vit(dense='excel', with_tokens=True, attention_layers=2)
    images = torch.randn(3, 3, 40, 72, device=device)
    *_, together = vit(images)
    for index in range(3):
        *_, alone = vit(images[index : index + 1])
        for name in ('class_embedding', 'patch_embeddings', 'dense'):
            expected = getattr(together, name)[index]
            assert torch.allclose(getattr(alone, name)[0], expected, atol=1e-5)


def test_plain_output_does_not_depend_on_tokens(make_vit, device):
    images = torch.randn(2, 3, 64, 48, device=device)
    plain = make_vit(out_indices=(2, 5))(images)
    for options in (
        dict(with_tokens=True),
        dict(with_tokens=True, dense='excel', hidden_states=True),
        dict(with_tokens=True, dense='maskclip', attention_layers=6),
    ):
        *maps, tokens = make_vit(out_indices=(2, 5), **options)(images)
        assert isinstance(tokens, CLIPTokens)
        assert all(torch.equal(a, b) for a, b in zip(plain, maps))


def test_tokens(make_vit, device):
    vit = make_vit(
        dense='excel',
        with_tokens=True,
        hidden_states=True,
        attention_layers=3,
    )
    *_, tokens = vit(torch.randn(2, 3, 64, 48, device=device))
    assert tokens.grid == (8, 6)
    assert [x.shape for x in tokens.hidden] == [(2, 49, 128)] * 7
    assert tokens.attention.shape == (3, 2, 49, 49)
    assert torch.allclose(
        tokens.attention.sum(-1), torch.ones(3, 2, 49, device=device)
    )
    assert tokens.patch_embeddings.shape == (2, 64, 8, 6)
    # The class token of the dense stream is the plain one's.
    assert torch.equal(tokens.dense[:, 0], tokens.hidden[-1][:, 0])
    assert tokens.tower is vit.tower


def test_tokens_share_no_memory(make_vit, device):
    vit = make_vit(dense='excel', with_tokens=True, hidden_states=True)
    maps, tokens = vit(torch.randn(1, 3, 32, 32, device=device))
    tensors = [
        maps,
        tokens.class_embedding,
        tokens.patch_embeddings,
        tokens.dense,
        tokens.values,
        *tokens.hidden,
    ]
    places = {x.untyped_storage().data_ptr() for x in tensors}
    assert len(places) == len(tensors)


def test_frozen_trunk_keeps_no_graph_and_stays_in_eval(make_vit, device):
    vit = make_vit(
        out_indices=(1, 2, 3, 5),
        adapter=dict(
            type='PyramidAdapter', channels=128, norm_cfg=dict(type='BN')
        ),
    ).train()
    assert not vit.tower.module.training
    assert vit.adapter.training
    levels = vit(torch.randn(2, 3, 64, 64, device=device))
    assert [x.shape[-1] for x in levels] == [32, 16, 8, 4]
    sum(x.square().sum() for x in levels).backward()
    assert all(p.grad is None for p in vit.tower.parameters())
    assert all(p.grad is not None for p in vit.adapter.parameters())


def test_unfrozen_trunk_is_trained(make_vit, device):
    vit = make_vit(frozen=False).train()
    vit(torch.randn(2, 3, 32, 32, device=device))[0].square().sum().backward()
    grad = vit.tower.module.conv1.weight.grad
    assert grad is not None
    assert grad.abs().sum() > 0


def test_bfloat16_autocast_is_close(make_vit, device):
    vit = make_vit(dense='excel', with_tokens=True)
    images = torch.randn(2, 3, 64, 64, device=device)
    exact = vit(images)[-1].class_embedding
    with torch.autocast(device.type, torch.bfloat16):
        rough = vit(images)[-1].class_embedding
    similarity = F.cosine_similarity(exact, rough.float())
    assert (similarity > 0.99).all()


@pytest.mark.parametrize(
    ('neck', 'head'),
    [
        (None, dict(type='UPerHead', in_channels=[128] * 4, channels=16)),
        (None, dict(type='SegformerHead', in_channels=[128] * 4, channels=16)),
        (
            dict(
                type='FPN', in_channels=[128] * 4, out_channels=16, num_outs=4
            ),
            dict(
                type='FPNHead',
                in_channels=[16] * 4,
                channels=16,
                feature_strides=[8, 8, 8, 8],
            ),
        ),
    ],
)
def test_works_under_stock_necks_and_heads(make_vit, device, neck, head):
    vit = make_vit(out_indices=(1, 2, 3, 5))
    features = vit(torch.randn(2, 3, 96, 64, device=device))
    if neck:
        features = MODELS.build(neck).to(device)(features)
    head = MODELS.build(dict(in_index=[0, 1, 2, 3], num_classes=5, **head))
    logits = head.to(device)(features)
    assert logits.shape == (2, 5, 12, 8)
    logits.sum().backward()


def test_class_embedding_repeats(make_vit, device):
    images = torch.randn(1, 3, 32, 32, device=device)
    once, twice = make_vit(), make_vit(class_embedding_repeats=2)
    once.tower.module.class_embedding.data *= 2
    assert torch.allclose(once(images)[0], twice(images)[0])


def test_image_smaller_than_a_patch(make_vit, device):
    with pytest.raises(ValueError, match='image of 7 x 50 pixels .* patch of'):
        make_vit()(torch.randn(1, 3, 7, 50, device=device))


def test_bad_arguments(make_vit):
    with pytest.raises(ValueError, match=r'out_indices=\(2, 6\).*6 blocks'):
        make_vit(out_indices=(2, 6))
    with pytest.raises(ValueError, match='attention_layers=7.*6 blocks'):
        make_vit(attention_layers=7)
    with pytest.raises(ValueError, match='dense layers=9.*6 blocks'):
        make_vit(dense=dict(preset='excel', layers=9))
