"""Maps of timm's models: their shapes, weights, frozen parts, refusals."""

import logging
import socket

import pytest
import timm
import torch
from safetensors.torch import save_file

from mmseg_weakclip.engine.normalization import check_normalization
from mmseg_weakclip.models.cam.timm_backbone import TimmFeatureMaps
from mmseg_weakclip.models.cam.timm_models import timm_normalization

CNN, VIT = 'test_resnet', 'test_vit'
LITE = 'tf_efficientnet_lite0'


@pytest.fixture
def images(device):
    return torch.randn(2, 3, 97, 130, device=device)


@torch.no_grad()
@pytest.mark.parametrize(
    ('name', 'stride', 'step'),
    [(CNN, None, 32), (LITE, 16, 16), ('resnet18', 8, 8)],
)
def test_maps_of_a_cnn(images, name, stride, step):
    backbone = TimmFeatureMaps(name, output_stride=stride, out_indices=(1,))
    backbone.to(images.device).eval()
    level, last = backbone(images)
    assert backbone.strides == (4, step)
    assert (level.shape[1], last.shape[1]) == backbone.channels
    assert level.shape[2:] == (25, 33)
    assert last.shape[2:] == (-(-97 // step), -(-130 // step))
    assert torch.allclose(last, backbone.network.forward_features(images))
    alone = torch.cat([backbone(images[i : i + 1])[-1] for i in range(2)])
    assert torch.allclose(last, alone, atol=1e-3)


@torch.no_grad()
def test_features_are_those_that_the_classifier_sees(device):
    """Their mean over positions, classified, is what timm's model says."""
    whole = timm.create_model(LITE).to(device).eval()
    backbone = TimmFeatureMaps(LITE).to(device).eval()
    backbone.network.load_state_dict(whole.state_dict(), strict=False)
    images = torch.randn(1, 3, 64, 96, device=device)
    logits = whole.classifier(backbone(images)[0].mean((2, 3)))
    assert torch.allclose(logits, whole(images), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    ('name', 'size', 'grid'),
    [
        (VIT, (97, 130), (6, 8)),
        (VIT, (5, 160), (1, 10)),
        ('test_vit2', (97, 130), (6, 8)),
    ],
)
def test_patches_of_a_vit(device, name, size, grid):
    backbone = TimmFeatureMaps(name, out_indices=(0,)).to(device).eval()
    images = torch.randn(2, 3, *size, device=device)
    first, last = backbone(images)
    assert first.shape == last.shape == (2, backbone.channels[1], *grid)
    step = backbone.strides[-1]
    whole = torch.nn.functional.interpolate(
        images, [side * step for side in grid], mode='bilinear'
    )
    tokens = backbone.network.forward_features(whole)
    prefix = backbone.network.num_prefix_tokens
    assert tokens.shape[1] == prefix + grid[0] * grid[1]
    for row, column in ((0, 0), (grid[0] - 1, grid[1] - 1)):
        place = prefix + row * grid[1] + column
        assert torch.allclose(last[:, :, row, column], tokens[:, place])


@torch.no_grad()
def test_levels_alone():
    backbone = TimmFeatureMaps(CNN, out_indices=(1, 2), last=False).eval()
    maps = backbone(torch.randn(1, 3, 64, 96))
    assert [tuple(one.shape[1:]) for one in maps] == [
        (32, 16, 24), (48, 8, 12),
    ]  # fmt: skip
    assert backbone.strides == (4, 8)


@pytest.mark.parametrize('name', [CNN, VIT, LITE, 'convnext_atto'])
@pytest.mark.parametrize('options', [{}, dict(out_indices=(0,), last=False)])
def test_all_that_is_trained_has_a_gradient(name, options):
    """Heads and later stages, which no map depends on, are not trained."""
    backbone = TimmFeatureMaps(name, **options)
    sum(one.sum() for one in backbone(torch.randn(2, 3, 64, 64))).backward()
    for path, parameter in backbone.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), path


@pytest.mark.parametrize(
    ('name', 'frozen', 'free'),
    [
        (CNN, ('conv1.0', 'bn1'), 'layer1.0.conv1'),
        (LITE, ('conv_stem', 'bn1', 'blocks.0.0.conv_pw'), 'blocks.1.0.bn1'),
        (VIT, ('cls_token', 'pos_embed', 'blocks.0.attn.qkv'), 'blocks.1.mlp'),
    ],
)
def test_frozen_stages(name, frozen, free):
    backbone = TimmFeatureMaps(name, frozen_stages=1).train()
    parameters = dict(backbone.network.named_parameters())
    for path, parameter in parameters.items():
        if path.startswith(frozen):
            assert not parameter.requires_grad, path
        if path.startswith(free):
            assert parameter.requires_grad, path
    norms = {
        path: module
        for path, module in backbone.network.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    }
    for path, norm in norms.items():
        assert norm.training == parameters[f'{path}.weight'].requires_grad
    before = {n: v.clone() for n, v in backbone.named_buffers()}
    backbone(torch.randn(2, 3, 64, 64))
    for path in norms:
        old, new = (
            values[f'network.{path}.running_mean']
            for values in (before, dict(backbone.named_buffers()))
        )
        kept = not parameters[f'{path}.weight'].requires_grad
        assert torch.equal(old, new) == kept, path


def test_last_norm_of_a_vit_is_not_one_block_s():
    depth = len(timm.create_model(VIT).blocks)
    norms = [
        TimmFeatureMaps(VIT, frozen_stages=n).network.norm.weight
        for n in (1, depth)
    ]
    assert [norm.requires_grad for norm in norms] == [True, False]


def test_a_frozen_vit_is_the_same_after_a_step():
    """Bit by bit, in training mode and with weight decay."""
    backbone = TimmFeatureMaps(
        VIT, out_indices=(4, 5), last=False, frozen_stages=6
    ).train()
    before = {n: v.clone() for n, v in backbone.state_dict().items()}
    head = torch.nn.Conv2d(64, 3, 1)
    optimizer = torch.optim.AdamW(
        [*backbone.parameters(), *head.parameters()], lr=0.1
    )
    maps = backbone(torch.randn(2, 3, 50, 70))
    assert not any(one.requires_grad for one in maps)
    head(maps[-1]).square().mean().backward()
    optimizer.step()
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_norms_of_all_stages_can_be_frozen():
    backbone = TimmFeatureMaps(CNN, norm_eval=True).train()
    norms = [
        module
        for module in backbone.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    assert norms
    assert not any(norm.training for norm in norms)
    assert backbone.training


@pytest.mark.parametrize('name', [CNN, VIT])
@pytest.mark.parametrize('form', ['pth', 'nested', 'safetensors'])
def test_checkpoint_of_a_whole_classifier(tmp_path, name, form, caplog):
    whole = timm.create_model(name, num_classes=7)
    state = whole.state_dict()
    path = tmp_path / 'whole.pth'
    if form == 'pth':
        torch.save({f'module.{n}': value for n, value in state.items()}, path)
    elif form == 'nested':
        torch.save(dict(state_dict=state, epoch=3), path)
    else:
        path = path.with_suffix('.safetensors')
        save_file(state, path)
    backbone = TimmFeatureMaps(name, pretrained=str(path))
    with caplog.at_level(logging.INFO):
        backbone.init_weights()
    own = backbone.network.state_dict()
    assert own
    for path, value in own.items():
        assert torch.equal(value, state[path]), path


def test_file_of_dinov2_as_released(tmp_path):
    """It has a token for masked patches, which timm's models have not."""
    wanted = timm.create_model(VIT, num_classes=0).state_dict()
    state = dict(wanted, mask_token=torch.zeros(1, 64))
    torch.save(state, tmp_path / 'w.pth')
    backbone = TimmFeatureMaps(VIT, pretrained=str(tmp_path / 'w.pth'))
    backbone.init_weights()
    own = backbone.network.state_dict()
    for path, value in wanted.items():
        assert torch.equal(own[path], value), path


def test_file_of_another_model(tmp_path):
    state = timm.create_model(CNN).state_dict()
    state['layer1.0.conv1.weight'] = torch.zeros(1)
    state['extra.weight'] = state.pop('conv1.0.weight')
    torch.save(state, tmp_path / 'w.pth')
    backbone = TimmFeatureMaps(CNN, pretrained=str(tmp_path / 'w.pth'))
    with pytest.raises(ValueError, match=CNN) as found:
        backbone.init_weights()
    for part in (
        'w.pth',
        r'it lacks 1 tensors (conv1.0.weight)',
        'layer1.0.conv1.weight (1,) for (32, 32, 3, 3)',
        'no place have 1 tensors (extra.weight)',
    ):
        assert part in str(found.value)
    backbone = TimmFeatureMaps(CNN, pretrained=str(tmp_path / 'x.pth'))
    with pytest.raises(FileNotFoundError, match=r'x\.pth do not exist'):
        backbone.init_weights()


def test_no_network_and_no_weights(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise OSError('no answer')

    monkeypatch.setattr(socket, 'create_connection', refuse)
    backbone = TimmFeatureMaps(CNN, pretrained=True)
    with pytest.raises(ConnectionError, match='give pretrained=FILE'):
        backbone.init_weights()
    backbone = TimmFeatureMaps('resnet200', pretrained=True)
    with pytest.raises(ValueError, match="no weights for 'resnet200'"):
        backbone.init_weights()


@pytest.mark.parametrize(
    ('name', 'options', 'said'),
    [
        ('mixer_s16_224', {}, "'mixer_s16_224' gives no feature maps"),
        ('swin_tiny_patch4_window7_224', {}, 'gives no feature maps'),
        ('resnet51', {}, "timm has no model 'resnet51'"),
        (VIT, dict(output_stride=8), 'cannot have output_stride=8'),
        (CNN, dict(out_indices=(5,)), 'levels 0 to 4'),
        (CNN, dict(out_indices=(2, 1)), 'must ascend'),
        (CNN, dict(last=False), 'asked for no map'),
    ],
)
def test_refusals_name_the_model(name, options, said):
    with pytest.raises(ValueError, match=said):
        TimmFeatureMaps(name, **options)


class Segmentor(torch.nn.Module):
    def __init__(self, mean, std, flips=True, name=LITE):
        super().__init__()
        self.backbone = torch.nn.Identity()
        self.backbone.mean, self.backbone.std = timm_normalization(name)
        self.backbone.model_name = name
        self.data_preprocessor = torch.nn.Identity()
        self.data_preprocessor.mean = torch.tensor(mean)
        self.data_preprocessor.std = torch.tensor(std)
        self.data_preprocessor._channel_conversion = flips


HALF, MEAN, STD = (
    [127.5] * 3,
    [123.675, 116.28, 103.53],
    [58.395, 57.12, 57.375],
)


def test_normalisation_of_the_record():
    assert timm_normalization(LITE) == ((127.5,) * 3, (127.5,) * 3)
    assert timm_normalization('resnet18') == (tuple(MEAN), tuple(STD))
    backbone = TimmFeatureMaps(LITE)
    assert (backbone.mean, backbone.std) == timm_normalization(LITE)


def test_another_normalisation_is_not_silent():
    check_normalization(Segmentor(HALF, HALF))
    check_normalization(torch.nn.Linear(1, 1))
    wrapped = torch.nn.Module()
    wrapped.module = Segmentor(MEAN, STD)
    with pytest.raises(ValueError, match=LITE) as found:
        check_normalization(wrapped)
    assert 'mean=[127.5, 127.5, 127.5]' in str(found.value)
    assert '123.675' in str(found.value)
    with pytest.raises(ValueError, match='bgr_to_rgb=True'):
        check_normalization(Segmentor(HALF, HALF, flips=False))
