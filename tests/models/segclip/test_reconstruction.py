from dataclasses import replace

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from real_devices import on_real_devices

from mmseg_weakclip.engine.hooks import check_class_counts
from mmseg_weakclip.models.segclip.encoder import GroupingCLIPViT
from mmseg_weakclip.models.segclip.masking import count_visible, random_order
from mmseg_weakclip.models.segclip.reconstruction import (
    MaskedReconstructionHead,
)

# Rows and columns are left over at both sides: 12 x 8 patches of 8 pixels.
SIZE, GRID, PATCHES = (97, 65), (12, 8), 96
BACKBONE = dict(
    type='GroupingCLIPViT',
    model='toyclip',
    pretrained=None,
    out_indices=(3,),
    frozen=False,
    group=dict(type='SemanticGroup', channels=128, num_centers=5),
    group_after=4,
    with_tokens=True,
)
HEAD = dict(
    type='MaskedReconstructionHead',
    channels=128,
    patch_size=8,
    num_centers=5,
    decoder_channels=32,
    decoder_depth=1,
    decoder_heads=4,
)


@pytest.fixture
def make_vit(device):
    def make(**kwargs) -> GroupingCLIPViT:
        torch.manual_seed(0)
        return MODELS.build({**BACKBONE, **kwargs}).to(device).eval()

    return make


@pytest.fixture
def make_head(device):
    def make(**kwargs) -> MaskedReconstructionHead:
        torch.manual_seed(1)
        return MODELS.build({**HEAD, **kwargs}).to(device)

    return make


@pytest.fixture
def images(device):
    torch.manual_seed(2)
    return torch.randn(3, 3, *SIZE, device=device)


@pytest.fixture
def order(device):
    return random_order(3, PATCHES, device)


def cut(images, place):
    """Pixels of one patch of the grid, (B, 3, 8, 8), a view."""
    row, column = (8 * number for number in divmod(place, GRID[1]))
    return images[..., row : row + 8, column : column + 8]


@pytest.mark.parametrize('normalize_target', [False, True])
def test_loss_against_the_formula(
    make_vit, make_head, images, order, normalize_target
):
    tokens = make_vit()(images)[-1]
    head = make_head(normalize_target=normalize_target)
    visible = count_visible(PATCHES, 0.75)
    assert visible == 24
    predicted = head(tokens, order)
    errors = []
    for image in range(3):
        for index, place in enumerate(order[image, visible:].tolist()):
            pixels = cut(images[image], place).permute(1, 2, 0).flatten()
            if normalize_target:
                pixels = (pixels - pixels.mean()) / pixels.std()
            errors.append((predicted[image, index] - pixels).square().mean())
    assert len(errors) == 3 * 72
    torch.testing.assert_close(
        head.reconstruction_error(tokens, order), torch.stack(errors).mean()
    )


def test_only_hidden_patches_count(make_vit, make_head, images, order):
    """As targets: what the network sees stays the same."""
    tokens, head = make_vit()(images)[-1], make_head()
    first = head.reconstruction_error(tokens, order)

    def error_without(image, place):
        changed = images.clone()
        cut(changed[image], place).fill_(50.0)
        return head.reconstruction_error(
            replace(tokens, images=changed), order
        )

    places = order[1].tolist()
    for place in places[:24:8]:
        assert torch.equal(error_without(1, place), first)
    for place in places[24::24]:
        assert error_without(1, place) > first + 1
    # Nor do the rows and columns past the last whole patch.
    changed = images.clone()
    changed[..., 96:, :] = 50
    changed[..., 64:] = 50
    changed = replace(tokens, images=changed)
    assert torch.equal(head.reconstruction_error(changed, order), first)


def test_hidden_patches_are_not_seen(make_vit, make_head, images, order):
    tokens, head = make_vit()(images)[-1], make_head()
    first = head(tokens, order)

    def predict_without(places):
        changed = tokens.patches.clone()
        changed[1, places] = 0
        return head(replace(tokens, patches=changed), order)

    assert torch.equal(predict_without(order[1, 24:]), first)
    seen = predict_without(order[1, :24])
    assert torch.equal(seen[[0, 2]], first[[0, 2]])
    assert not torch.allclose(seen[1], first[1], atol=1e-4)


def test_second_pass_sees_a_quarter(make_vit, make_head, images):
    vit, head = make_vit(), make_head()
    inputs = vit(images)
    shapes = []
    handles = [
        vit.tower.blocks[0].ln_1.register_forward_hook(
            lambda module, args, output: shapes.append(args[0].shape)
        ),
        vit.group.register_forward_hook(
            lambda module, args, output: shapes.append(args[0].shape)
        ),
        vit.tower.blocks[4].ln_1.register_forward_hook(
            lambda module, args, output: shapes.append(args[0].shape)
        ),
    ]
    head.loss(inputs, [], {})
    for handle in handles:
        handle.remove()
    assert shapes == [(3, 24, 128), (3, 24, 128)]


def test_an_image_for_itself(make_vit, make_head, images, order):
    """Of a batch, or alone, with the same patches hidden."""
    vit, head = make_vit(), make_head()
    together = head(vit(images)[-1], order)
    for index in range(3):
        alone = head(
            vit(images[index : index + 1])[-1], order[index : index + 1]
        )
        torch.testing.assert_close(
            together[index : index + 1], alone, atol=1e-5, rtol=1e-4
        )


def test_patches_of_a_region_are_its_mixture(make_vit, make_head, images):
    """Without blocks, a patch is what its row of the mixer makes."""
    tokens = make_vit()(images)[-1]
    mixer = make_head(mixer_blocks=0).mixer
    weight, bias = mixer.mix.weight, mixer.mix.bias
    torch.nn.init.normal_(bias)
    patches = mixer(tokens.groups)
    owners = tokens.groups.hard.argmax(1)
    for image, place in ((0, 0), (1, 40), (2, 95)):
        row = weight[:, owners[image, place]] + bias
        x = sum(
            share * region
            for share, region in zip(row, tokens.groups.tokens[image])
        )
        torch.testing.assert_close(
            patches[image, place], x * (1.702 * x).sigmoid()
        )


def test_gradients(make_vit, make_head, images):
    vit, head = make_vit().train(), make_head()
    tokens = vit(images)[-1]
    # Only the second pass: what the first one made has no part in it.
    tokens = replace(tokens, patches=tokens.patches.detach())
    losses = head.loss((tokens,), [], {})
    losses['loss_reconstruction'].backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        # Keys are compared with each other: what all have is no matter.
        if 'in_proj_bias' not in name:
            assert parameter.grad.any(), name
    for name, parameter in vit.group.named_parameters():
        assert parameter.grad is not None, name
    assert vit.group.centers.grad.any()
    for index, block in enumerate(vit.tower.blocks):
        gradient = block.mlp.c_fc.weight.grad
        assert (gradient is not None and gradient.any()) == (index < 4)


def test_frozen_tower_trains_the_groups(make_vit, make_head, images):
    vit, head = make_vit(frozen=True).train(), make_head()
    head.loss(vit(images), [], {})['loss_reconstruction'].backward()
    assert vit.group.centers.grad.any()
    assert all(p.grad is None for p in vit.tower.parameters())


def test_weight_and_name(make_vit, make_head, images):
    inputs = make_vit()(images)
    plain = make_head()
    half = make_head(loss_weight=0.5, loss_name='loss_mae')
    torch.manual_seed(3)
    losses = plain.loss(inputs, [], {})
    torch.manual_seed(3)
    halves = half.loss(inputs, [], {})
    assert [*losses] == ['loss_reconstruction']
    assert [*halves] == ['loss_mae']
    torch.testing.assert_close(
        halves['loss_mae'], losses['loss_reconstruction'] / 2
    )


def test_start(make_head):
    head = make_head(decoder_channels=256)
    for module in head.modules():
        if isinstance(module, torch.nn.Linear):
            assert not module.bias.any()
            if module.weight.numel() > 1000:
                assert 0.018 < module.weight.std() < 0.022
    assert 0.015 < head.decoder.mask_token.std() < 0.025


def test_published_size():
    """Parameters of the decoder and of the two blocks (SegCLIP's code)."""
    head = MaskedReconstructionHead(768, 16)

    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert count(head.mixer.mix) == 72
    assert round(count(head.mixer.blocks) / 1e6, 1) == 14.2
    assert round(count(head.decoder) / 1e6, 1) == 5.9


def test_autocast(make_vit, make_head, images, order, device):
    vit, head = make_vit(), make_head()
    full = head.reconstruction_error(vit(images)[-1], order)
    with torch.autocast(device.type, torch.bfloat16):
        tokens = vit(images)[-1]
        # Groups of patches may change by rounding, not their number.
        half = head.reconstruction_error(tokens, order)
        assert head(tokens, order).dtype == torch.bfloat16
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=0.01, rtol=0.01)


@on_real_devices
def test_one_batch_can_be_learnt(make_vit, make_head, device):
    """Two images of opposite colours: without regions the error stays."""
    # Without noise: the groups of a patch would change now and then.
    vit, head = make_vit(frozen=True), make_head()
    color = torch.tensor([1.0, 0.5, -1], device=device)[:, None, None]
    images = torch.stack([color, -color]).expand(-1, -1, 24, 40)
    optimizer = torch.optim.Adam(
        [*vit.group.parameters(), *head.parameters()], lr=1e-3
    )
    errors = []
    for _ in range(48):
        error = head.loss(vit(images), [], {})['loss_reconstruction']
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[0] > 0.74
    assert errors[-1] < 0.2


def test_beside_a_stock_head():
    """In a stock EncoderDecoder, and no class is missed in it."""
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=BACKBONE,
            decode_head=dict(
                type='FCNHead',
                in_channels=128,
                channels=8,
                num_convs=1,
                concat_input=False,
                num_classes=3,
                in_index=0,
            ),
            auxiliary_head=HEAD,
            train_cfg={},
            test_cfg=dict(mode='whole'),
        )
    )
    model.init_weights()
    check_class_counts(model, ('background', 'boat', 'car'))
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 40, 56).long()))
        for _ in range(2)
    ]
    losses = model.loss(torch.randn(2, 3, 40, 56), samples)
    assert losses['aux.loss_reconstruction'].shape == ()
    assert 'decode.loss_ce' in losses


@pytest.mark.parametrize('ratio', [0, 1, -0.1, 1.5, float('nan')])
def test_impossible_ratio(make_head, ratio):
    with pytest.raises(ValueError, match=f'mask_ratio={ratio} .* above 0 and'):
        make_head(mask_ratio=ratio)


def test_no_regions(make_head, images):
    head = make_head()
    vit = dict(type='CLIPViT', model='toyclip', pretrained=None)
    plain = MODELS.build({**vit, 'with_tokens': True}).to(images)(images)
    with pytest.raises(ValueError, match='MaskedReconstructionHead needs the'):
        head.loss(plain, [], {})


@pytest.mark.parametrize(
    ('name', 'value', 'actual'),
    [('channels', 64, 128), ('patch_size', 16, 8), ('num_centers', 8, 5)],
)
def test_another_backbone(make_head, make_vit, images, name, value, actual):
    head = make_head(**{name: value})
    with pytest.raises(ValueError, match=f'{name}={value}, .* has {actual}'):
        head.loss(make_vit()(images), [], {})


def test_heads_that_do_not_go(make_head):
    with pytest.raises(ValueError, match=r'channels=128 .* heads \(3\)'):
        make_head(num_heads=3)


def test_one_patch(make_vit, make_head, device):
    inputs = make_vit()(torch.randn(1, 3, 8, 8, device=device))
    with pytest.raises(ValueError, match='an image of 1 patch'):
        make_head().loss(inputs, [], {})
