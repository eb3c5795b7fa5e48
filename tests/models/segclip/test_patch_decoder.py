import math

import pytest
import torch

from mmseg_weakclip.models.segclip.masking import random_order
from mmseg_weakclip.models.segclip.patch_decoder import (
    PatchDecoder,
    init_linear,
    sincos_position,
)

GRID = (3, 5)


@pytest.fixture
def decoder(device):
    torch.manual_seed(0)
    decoder = PatchDecoder(12, 7, channels=16, depth=2, num_heads=4)
    torch.nn.init.normal_(decoder.mask_token)
    return decoder.to(device)


def test_position_against_the_formula():
    rows, columns = GRID
    table = sincos_position(GRID, 16)
    assert table.shape == (15, 16)
    for place in range(15):
        expected = []
        for coordinate in reversed(divmod(place, columns)):
            angles = [coordinate / 10_000 ** (2 * i / 8) for i in range(4)]
            expected += [math.sin(a) for a in angles]
            expected += [math.cos(a) for a in angles]
        torch.testing.assert_close(table[place], torch.tensor(expected))


def test_the_column_comes_first():
    """As in released weights: along a row only the first half changes."""
    table = sincos_position(GRID, 16).unflatten(0, GRID)
    first, second = table.chunk(2, -1)
    assert (first == first[:1]).all()
    assert (second == second[:, :1]).all()
    assert (first[:, 1:] != first[:, :-1]).any(-1).all()


def test_initial_weights_of_attention():
    """Linear layers N(0, .02); the joint projection as PyTorch has it."""
    torch.manual_seed(0)
    attention = torch.nn.MultiheadAttention(256, 4)
    before = attention.in_proj_weight.clone()
    init_linear(attention)
    assert torch.equal(attention.in_proj_weight, before)
    # Xavier's: the root of 2 / (256 + 3 * 256).
    assert before.std().item() == pytest.approx(1024**-0.5 * 2**0.5, rel=0.02)
    weight = attention.out_proj.weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert (attention.out_proj.bias == 0).all()


def test_places_differ_in_a_large_grid():
    table = sincos_position((24, 40), 64)
    near = torch.cdist(table, table).fill_diagonal_(math.inf).min()
    assert near > 0.1


def put_back(decoder, visible, order):
    """Every token at its place, its position, the blocks: the long way."""
    batch, patches = order.shape
    x = decoder.embed(visible)
    tokens = torch.empty(batch, patches, x.shape[-1], device=x.device)
    for image in range(batch):
        for index, place in enumerate(order[image].tolist()):
            shown = index < visible.shape[1]
            tokens[image, place] = (
                x[image, index] if shown else decoder.mask_token
            )
    tokens = tokens + sincos_position(GRID, x.shape[-1], x.device)
    if decoder.mean_token:
        mean = decoder.embed(visible.mean(1, keepdim=True))
        tokens = torch.cat([mean, tokens], 1)
    tokens = decoder.predict(decoder.norm(decoder.blocks(tokens)))
    tokens = tokens[:, -patches:]
    return torch.stack(
        [
            tokens[image, order[image, visible.shape[1] :]]
            for image in range(batch)
        ]
    )


@pytest.mark.parametrize('mean_token', [True, False])
def test_same_as_with_every_patch_at_its_place(decoder, device, mean_token):
    decoder.mean_token = mean_token
    visible = torch.randn(2, 4, 12, device=device)
    order = random_order(2, 15, device)
    predicted = decoder(visible, order, GRID)
    assert predicted.shape == (2, 11, 7)
    torch.testing.assert_close(
        predicted, put_back(decoder, visible, order), atol=1e-5, rtol=1e-5
    )


def test_order_among_the_visible_does_not_matter(decoder, device):
    visible = torch.randn(1, 4, 12, device=device)
    order = random_order(1, 15, device)
    first = decoder(visible, order, GRID)
    turned = order.clone()
    turned[:, :4] = order[:, :4].flip(1)
    second = decoder(visible.flip(1), turned, GRID)
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)
    # But their places do.
    third = decoder(visible, turned, GRID)
    assert not torch.allclose(first, third, atol=1e-4)


def test_mean_token_is_seen(decoder, device):
    visible = torch.randn(1, 4, 12, device=device)
    order = random_order(1, 15, device)
    first = decoder(visible, order, GRID)
    decoder.mean_token = False
    assert not torch.allclose(first, decoder(visible, order, GRID), atol=1e-4)


def test_widths_that_do_not_go():
    with pytest.raises(ValueError, match='channels=18 must be a multiple of'):
        PatchDecoder(12, 7, channels=18, num_heads=2)
    with pytest.raises(ValueError, match=r'number of heads \(5\)'):
        PatchDecoder(12, 7, channels=16, num_heads=5)
