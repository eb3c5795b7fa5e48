"""Files of MXNet written byte by byte, and brought into our form."""

import struct

import numpy as np
import pytest
import torch
from mmengine.runner import load_checkpoint
from mxnet_params import read_mxnet_params

from mmseg_weakclip.models.segmenters import resnet38d
from mmseg_weakclip.models.segmenters.resnet38d import ResNet38d

KINDS = {'float32': 0, 'float64': 1, 'float16': 2, 'uint8': 3, 'int32': 4}
# How shapes were written before 2017, in 2017, and since.
FORMATS = ['old', 'wide', 'storage']


def pack_array(array: np.ndarray, form: str) -> bytes:
    parts = []
    if form == 'storage':
        parts.append(struct.pack('<Ii', 0xF993FAC9, 0))
    elif form == 'wide':
        parts.append(struct.pack('<I', 0xF993FAC8))
    letter = 'I' if form == 'old' else 'q'
    parts.append(
        struct.pack(f'<I{array.ndim}{letter}', array.ndim, *array.shape)
    )
    parts.append(struct.pack('<iii', 1, 0, KINDS[array.dtype.name]))
    return b''.join([*parts, array.tobytes()])


def pack(arrays: dict[str, np.ndarray], form: str) -> bytes:
    parts = [struct.pack('<QQQ', 0x112, 0, len(arrays))]
    parts += [pack_array(array, form) for array in arrays.values()]
    parts.append(struct.pack('<Q', len(arrays)))
    for name in arrays:
        parts.append(struct.pack('<Q', len(name)) + name.encode())
    return b''.join(parts)


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('model_converters/resnet38d.py')


@pytest.fixture
def network(monkeypatch) -> ResNet38d:
    """A ResNet-38 in thin, as all others of the same test."""
    plain = ((3, 4, 4), (3, 5, 5), (6, 6, 6), (3, 6, 8))
    monkeypatch.setattr(resnet38d, 'PLAIN_STAGES', plain)
    monkeypatch.setattr(resnet38d, 'BOTTLENECK_STAGES', ((12, 0.3), (16, 0.5)))
    monkeypatch.setattr(resnet38d, 'STEM_CHANNELS', 3)
    network = ResNet38d()
    for value in network.state_dict().values():
        if value.is_floating_point():
            torch.nn.init.uniform_(value, 0.5, 1.5)
    return network.eval()


def mxnet_name(name: str) -> str:
    """'b4_3.bn_branch2a.bias' -> 'arg:bn4b3_branch2a_beta'."""
    *module, value = name.split('.')
    norm = 'bn' in module[-1]
    if norm:
        value = dict(
            weight='gamma',
            bias='beta',
            running_mean='moving_mean',
            running_var='moving_var',
        )[value]
    prefix = 'aux' if 'moving' in value else 'arg'
    if len(module) == 1:
        return f'{prefix}:{module[0]}_{value}'
    block, layer = module
    stage, _, index = block[1:].partition('_')
    number = f'{stage}b{index}' if index else f'{stage}a'
    kind, branch = layer.split('_')
    kind = dict(conv='res', bn='bn')[kind]
    return f'{prefix}:{kind}{number}_{branch}_{value}'


@pytest.fixture
def arrays(network) -> dict[str, np.ndarray]:
    """What MXNet's file of this network holds, the classifier included."""
    found = {
        mxnet_name(name): value.numpy()
        for name, value in network.state_dict().items()
        if 'num_batches' not in name
    }
    found['arg:linear1000_weight'] = np.ones((1000, 16), np.float32)
    found['arg:linear1000_bias'] = np.ones(1000, np.float32)
    return found


def assert_loads(path, network) -> None:
    other = ResNet38d()
    load_checkpoint(other, str(path), map_location='cpu', strict=True)
    state = network.state_dict()
    for name, value in other.state_dict().items():
        assert torch.equal(value, state[name]), name
    images = torch.randn(1, 3, 20, 28)
    assert torch.equal(other.eval()(images)[0], network(images)[0])


@pytest.mark.parametrize('form', FORMATS)
def test_mxnet(tool, network, arrays, form, tmp_path, capsys):
    source, out = tmp_path / 'in.params', tmp_path / 'new/out.pth'
    source.write_bytes(pack(arrays, form))
    tool.main([str(source), str(out)])
    assert_loads(out, network)
    printed = capsys.readouterr()
    printed = printed.out + printed.err
    assert '2 tensors have no place: arg:linear1000_weight, ' in printed
    assert 'arg:linear1000_bias' in printed
    assert str(out) in printed


def test_names_of_the_published_file(arrays):
    """A few that are written down in papers' code, and their shapes."""
    assert arrays['arg:conv1a_weight'].shape == (3, 3, 3, 3)
    assert arrays['arg:res2a_branch1_weight'].shape == (4, 3, 1, 1)
    assert arrays['arg:res4b5_branch2b1_weight'].shape == (6, 6, 3, 3)
    assert arrays['arg:bn5b2_branch2b1_gamma'].shape == (6,)
    assert arrays['arg:res7a_branch2b2_weight'].shape == (16, 8, 1, 1)
    assert arrays['aux:bn7_moving_var'].shape == (16,)


@pytest.mark.parametrize('prefix', ['', 'module.', 'backbone.'])
def test_pytorch(tool, network, prefix, tmp_path, capsys):
    """Copies have no counts of batches, and a classifier of their own."""
    source, out = tmp_path / 'in.pth', tmp_path / 'out.pth'
    state = {
        prefix + name: value
        for name, value in network.state_dict().items()
        if 'num_batches' not in name
    }
    torch.save({**state, f'{prefix}fc8.weight': torch.ones(20, 16)}, source)
    tool.main([str(source), str(out)])
    assert_loads(out, network)
    printed = capsys.readouterr()
    assert '1 tensors have no place: ' in printed.out + printed.err
    assert 'fc8.weight' in printed.out + printed.err


def fail(tool, source, out, capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        tool.main([str(source), str(out)])
    assert stop.value.code == 2
    assert not out.exists()
    return capsys.readouterr().err


def test_wrong_shapes_and_missing_tensors_are_named(
    tool, arrays, tmp_path, capsys
):
    source, out = tmp_path / 'in.params', tmp_path / 'out.pth'
    arrays['arg:res3b1_branch2a_weight'] = np.ones((5, 5, 1, 1), np.float32)
    arrays['aux:bn7_moving_mean'] = np.ones(7, np.float32)
    del arrays['arg:bn6a_branch2b2_beta']
    source.write_bytes(pack(arrays, 'storage'))
    message = fail(tool, source, out, capsys)
    for part in (
        "'arg:res3b1_branch2a_weight' is (5, 5, 1, 1), "
        "'b3_1.conv_branch2a.weight' of the network (5, 5, 3, 3)",
        "'aux:bn7_moving_mean' is (7,), 'bn7.running_mean'",
        "nothing becomes 'b6.bn_branch2b2.bias'",
    ):
        assert part in message
    assert message.count(';') == 2


def test_two_of_one_name(tool, arrays, tmp_path, capsys):
    source, out = tmp_path / 'in.params', tmp_path / 'out.pth'
    arrays['aux:bn7_gamma'] = arrays['arg:bn7_gamma']
    source.write_bytes(pack(arrays, 'old'))
    message = fail(tool, source, out, capsys)
    assert "'arg:bn7_gamma' and 'aux:bn7_gamma' both become" in message


def test_files_of_something_else(tool, network, tmp_path, capsys):
    source, out = tmp_path / 'in.pth', tmp_path / 'out.pth'
    assert 'No such file' in fail(tool, source, out, capsys)
    source.write_bytes(b'no tensors')
    assert 'in.pth cannot be read' in fail(tool, source, out, capsys)
    torch.save(torch.ones(3), source)
    assert 'in.pth holds a Tensor' in fail(tool, source, out, capsys)
    torch.save({'fc.weight': torch.ones(3)}, source)
    message = fail(tool, source, out, capsys)
    assert "in.pth: nothing becomes 'conv1a.weight'" in message


@pytest.mark.parametrize('form', FORMATS)
def test_all_kinds_of_numbers(form, tmp_path):
    arrays = {
        f'{kind} {shape}': np.arange(np.prod(shape))
        .reshape(shape)
        .astype(kind)
        for kind in KINDS
        for shape in [(3,), (2, 5), (1, 2, 3, 4)]
    }
    path = tmp_path / 'a.params'
    path.write_bytes(pack(arrays, form))
    found = read_mxnet_params(path)
    assert list(found) == list(arrays)
    for name, array in found.items():
        assert array.dtype == arrays[name].dtype
        assert np.array_equal(array, arrays[name])


@pytest.mark.parametrize('form', FORMATS)
def test_a_file_that_is_cut_off(form, tmp_path):
    whole = pack({'a': np.ones((2, 3), np.float32)}, form)
    path = tmp_path / 'a.params'
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r'a\.params'):
            read_mxnet_params(path)
    path.write_bytes(whole + b'\0')
    with pytest.raises(ValueError, match='goes on'):
        read_mxnet_params(path)


def test_arrays_that_are_not_read(tmp_path):
    whole = bytearray(pack({'a': np.ones((2, 3), np.float32)}, 'storage'))
    path = tmp_path / 'a.params'

    def spoil(position: int, number: int, message: str) -> None:
        content = bytearray(whole)
        struct.pack_into('<I', content, position, number)
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_mxnet_params(path)

    spoil(0, 0x113, 'not a file of MXNet')
    spoil(24, 0xF993FACA, 'version or axes 0xf993faca')
    spoil(28, 1, r'byte 32: an array of sparse storage \(1\)')
    spoil(32, 0, 'version or axes 0x0')
    spoil(60, 9, 'numbers of type 9')
    spoil(36, 0xFFFFFFF, 'too soon')
