import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import nn

from mmseg_weakclip.models.segmenters import resnet38d
from mmseg_weakclip.models.segmenters.resnet38d import ResNet38d

CHANNELS = (128, 256, 512, 1024, 2048, 4096)


@pytest.fixture
def thin(monkeypatch):
    """The same network, a hundredth as wide."""
    plain = ((3, 4, 4), (3, 5, 5), (6, 6, 6), (3, 6, 8))
    monkeypatch.setattr(resnet38d, 'PLAIN_STAGES', plain)
    monkeypatch.setattr(resnet38d, 'BOTTLENECK_STAGES', ((12, 0.3), (16, 0.5)))
    monkeypatch.setattr(resnet38d, 'STEM_CHANNELS', 3)

    def build(**options) -> ResNet38d:
        return ResNet38d(**options)

    return build


@pytest.fixture(scope='module')
def full():
    return MODELS.build(dict(type='ResNet38d', out_indices=range(6))).eval()


def test_parameters_by_hand(full):
    """Convolutions, in thousands of weights, and norms, twice their width."""
    plain = [
        # The first block with its projection, and the later ones.
        9 * (64 * 128 + 128**2) + 64 * 128 + 2 * 9 * 2 * 128**2,
        9 * (128 * 256 + 256**2) + 128 * 256 + 2 * 9 * 2 * 256**2,
        9 * (256 * 512 + 512**2) + 256 * 512 + 5 * 9 * 2 * 512**2,
        9 * (512**2 + 512 * 1024) + 512 * 1024 + 2 * 9 * 2 * 512 * 1024,
    ]
    bottlenecks = [
        1024 * 512 + 9 * 512 * 1024 + 1024 * 2048 + 1024 * 2048,
        2048 * 1024 + 9 * 1024 * 2048 + 2048 * 4096 + 2048 * 4096,
    ]
    norms = [
        (64 + 128) + 2 * (128 + 128),
        (128 + 256) + 2 * (256 + 256),
        (256 + 512) + 5 * (512 + 512),
        (512 + 512) + 2 * (1024 + 512),
        1024 + 512 + 1024,
        2048 + 1024 + 2048,
        4096,
    ]
    count = 27 * 64 + sum(plain) + sum(bottlenecks) + 2 * sum(norms)
    assert count == 105_070_912
    assert sum(p.numel() for p in full.parameters()) == count


def test_depth_and_names(full):
    """38 layers with weights, the classifier counted, shortcuts not."""
    convs = {n for n, m in full.named_modules() if isinstance(m, nn.Conv2d)}
    assert len([n for n in convs if 'branch1' not in n]) + 1 == 38
    shortcuts = {f'b{i}.conv_branch1' for i in range(2, 8)}
    assert {n for n in convs if 'branch1' in n} == shortcuts
    names = set(full.state_dict())
    assert {
        'conv1a.weight',
        'b2.bn_branch2a.weight',
        'b2_2.conv_branch2a.weight',
        'b4_5.conv_branch2b1.weight',
        'b5_1.bn_branch2b1.running_mean',
        'b6.conv_branch2b2.weight',
        'b7.bn_branch2b2.bias',
        'bn7.running_var',
    } <= names


def test_strides_of_the_maps(full):
    """At 35 x 50, neither square nor a multiple of anything."""
    with torch.no_grad():
        maps = full(torch.randn(2, 3, 35, 50))
    sizes = [(18, 25), (9, 13), (5, 7), (5, 7), (5, 7), (5, 7)]
    for found, channels, size in zip(maps, CHANNELS, sizes, strict=True):
        assert found.shape == (2, channels, *size)
        # All are behind a ReLU.
        assert found.min() == 0
        assert found.max() > 0


def test_dilations(full):
    """Of the 3 x 3 convolutions; one that follows b4 sees as far as b4."""
    found = {
        name.removesuffix('.weight'): module.dilation[0]
        for name, module in full.named_modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
    }
    dilated = {name: d for name, d in found.items() if d > 1}
    assert dilated == {
        'b5.conv_branch2b1': 2,
        'b5_1.conv_branch2a': 2,
        'b5_1.conv_branch2b1': 2,
        'b5_2.conv_branch2a': 2,
        'b5_2.conv_branch2b1': 2,
        'b6.conv_branch2b1': 4,
        'b7.conv_branch2b1': 4,
    }


def test_dropout(full):
    found = [full.b6.dropout.p, full.b7.dropout.p]
    assert found == [0.3, 0.5]


def norm(bn: nn.BatchNorm2d, x):
    mean, var = bn.running_mean, bn.running_var
    scale = bn.weight / (var + bn.eps).sqrt()
    return (x - mean[:, None, None]) * scale[:, None, None] + bn.bias[
        :, None, None
    ]


def test_against_the_formula(thin):
    """The last two stages, written out, with statistics that matter."""
    network = thin(out_indices=(4, 5, 3)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    seen = {}
    network.b6.register_forward_hook(
        lambda module, inputs, output: seen.update(x=inputs[0], y=output)
    )
    sixth, seventh, fifth = network(torch.randn(1, 3, 21, 30))

    def bottleneck(block, x):
        first = norm(block.bn_branch2a, x).relu()
        y = F.conv2d(first, block.conv_branch2a.weight)
        y = norm(block.bn_branch2b1, y).relu()
        y = F.conv2d(y, block.conv_branch2b1.weight, padding=4, dilation=4)
        y = norm(block.bn_branch2b2, y).relu()
        y = F.conv2d(y, block.conv_branch2b2.weight)
        return first, y + F.conv2d(first, block.conv_branch1.weight)

    first, y = bottleneck(network.b6, seen['x'])
    assert torch.allclose(fifth, first, atol=1e-5)
    assert torch.allclose(seen['y'], y, atol=1e-4)
    first, y = bottleneck(network.b7, y)
    assert torch.allclose(sixth, first, atol=1e-4)
    assert torch.allclose(seventh, norm(network.bn7, y).relu(), atol=1e-3)


def test_plain_blocks_against_the_formula(thin):
    network = thin().eval()
    x = torch.randn(1, 5, 9, 12)
    block = network.b4
    first = norm(block.bn_branch2a, x).relu()
    y = F.conv2d(first, block.conv_branch2a.weight, stride=2, padding=1)
    y = norm(block.bn_branch2b1, y).relu()
    y = F.conv2d(y, block.conv_branch2b1.weight, padding=1)
    y = y + F.conv2d(first, block.conv_branch1.weight, stride=2)
    assert torch.allclose(block(x, block.activate(x)), y, atol=1e-5)
    # A later one adds to what came, not to what is activated.
    block, x = network.b4_1, y
    first = norm(block.bn_branch2a, x).relu()
    z = F.conv2d(first, block.conv_branch2a.weight, padding=1)
    z = norm(block.bn_branch2b1, z).relu()
    z = F.conv2d(z, block.conv_branch2b1.weight, padding=1) + x
    assert torch.allclose(block(x, block.activate(x)), z, atol=1e-5)


@pytest.mark.parametrize(
    ('strides', 'dilations', 'size'),
    [
        ((2, 2, 2, 2, 2, 1), (1, 1, 1, 1, 1, 1), (2, 3)),
        ((2, 2, 2, 2, 1, 1), (1, 1, 1, 1, 2, 2), (3, 5)),
        ((2, 2, 2, 1, 1, 1), (1, 1, 1, 2, 4, 4), (6, 10)),
    ],
)
def test_other_output_strides(thin, strides, dilations, size):
    """Output strides 32, 16 and 8."""
    network = thin(strides=strides, dilations=dilations)
    (found,) = network(torch.randn(2, 3, 48, 80))
    assert found.shape == (2, 16, *size)


@pytest.mark.parametrize('stages', [-1, 0, 1, 3, 6])
def test_frozen_parts_stay_bit_identical(thin, device, stages):
    network = thin(frozen_stages=stages).to(device).train()
    frozen = ['conv1a.'] if stages >= 0 else []
    frozen += [f'b{i + 2}{s}' for i in range(stages) for s in '._']
    frozen += ['bn7.'] if stages == 6 else []
    before = {n: v.clone() for n, v in network.state_dict().items()}
    trained = [p for p in network.parameters() if p.requires_grad]
    if trained:
        optimizer = torch.optim.SGD(trained, lr=0.1)
        for _ in range(2):
            network(torch.randn(2, 3, 24, 32, device=device))[
                0
            ].sum().backward()
            optimizer.step()
    for name, value in network.state_dict().items():
        same = torch.equal(value, before[name])
        assert same == name.startswith(tuple(frozen)), name


def test_norms_may_keep_their_statistics(thin):
    images = torch.randn(2, 3, 24, 32) + 3
    for norm_eval in (False, True):
        network = thin(norm_eval=norm_eval).train()
        network(images)
        moved = {
            name
            for name, value in network.state_dict().items()
            if name.endswith('running_mean') and value.abs().max() > 0
        }
        expected = [n for n, _ in network.named_buffers() if 'mean' in n]
        assert moved == (set() if norm_eval else set(expected))
        # Dropout is not a norm.
        assert network.b6.dropout.training
        # A norm sees each batch once, though its map is also an output.
        if not norm_eval:
            assert network.b6.bn_branch2a.num_batches_tracked == 1


def test_an_output_is_normalised_once(thin):
    network = thin(out_indices=(3, 4, 5)).train()
    network(torch.randn(2, 3, 24, 32))
    counts = {v.item() for n, v in network.named_buffers() if 'tracked' in n}
    assert counts == {1}


def test_half_precision(thin, device):
    network = thin().to(device).eval()
    images = torch.randn(1, 3, 40, 56, device=device)
    with torch.autocast(device.type, torch.bfloat16):
        (half,) = network(images)
    (exact,) = network(images)
    assert half.shape == exact.shape == (1, 16, 5, 7)
    assert torch.isfinite(half).all()
    assert (half - exact).abs().mean() < 0.1 * exact.abs().mean()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(out_indices=(6,)), r'out_indices=\(6,\) .* 0 to 5'),
        (dict(out_indices=()), r'out_indices=\(\)'),
        (dict(frozen_stages=7), 'frozen_stages=7 .* -1 to 6'),
        (dict(strides=(2, 2)), r'6 stages; strides=\(2, 2\)'),
    ],
)
def test_wrong_settings(options, message):
    with pytest.raises(ValueError, match=message):
        ResNet38d(**options)
