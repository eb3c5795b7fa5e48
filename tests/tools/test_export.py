"""tools/export.py on a small model, from its config and checkpoint."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

CONFIG = """
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[120, 110, 100], std=[60, 50, 70],
        bgr_to_rgb=True),
    backbone=dict(
        type='ResNetV1c', depth=18, num_stages=1, strides=(1,),
        dilations=(1,), out_indices=(0,), base_channels=8, stem_channels=8),
    decode_head=dict(
        type='FCNHead', in_channels=8, in_index=0, channels=8, num_convs=0,
        concat_input=False, num_classes=3),
    test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(32, 32)))
test_dataloader = dict(dataset=dict(
    type='WeakSegDataset', metainfo=dict(classes=('background', 'a', 'ü b'))))
"""


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('export.py')


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'small.py'
    path.write_text(CONFIG, encoding='utf-8')
    return path


@pytest.fixture
def checkpoint(config):
    from mmengine.config import Config
    from mmseg.registry import MODELS

    model = MODELS.build(Config.fromfile(config).model)
    model.decode_head.conv_seg.weight.data.normal_()
    path = config.with_suffix('.pth')
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


@pytest.fixture
def image(tmp_path):
    """A picture as a file, not square."""
    colors = np.random.default_rng(0).integers(0, 256, (40, 61, 3), np.uint8)
    path = tmp_path / 'bild ü.png'
    Image.fromarray(colors).save(path)
    return path


def run(tool, *arguments):
    return tool.main([str(argument) for argument in arguments])


def test_onnx(tool, config, checkpoint, image, tmp_path, capsys):
    onnxruntime = pytest.importorskip('onnxruntime')
    out = tmp_path / 'small.onnx'
    options = ('--format', 'onnx', '--output', 'mask', '--image', image)
    assert run(tool, config, checkpoint, *options) == 0
    text = capsys.readouterr().out
    for size in ('2 of 160 x 224', '3 of 131 x 97', '1 of 40 x 61'):
        assert size in text
    assert str(out) in text
    session = onnxruntime.InferenceSession(str(out))
    images = np.asarray(Image.open(image)).transpose(2, 0, 1)[None]
    (mask,) = session.run(None, dict(images=images.astype(np.float32)))
    assert mask.shape == (1, 40, 61)
    assert mask.dtype == np.uint8
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties['classes']) == ['background', 'a', 'ü b']
    assert json.loads(properties['test_cfg'])['mode'] == 'slide'
    assert properties['config'] == 'small'


def test_torchscript(tool, config, checkpoint, tmp_path):
    out = tmp_path / 'elsewhere.pt'
    options = ('--format', 'torchscript', '--out', out)
    assert run(tool, config, checkpoint, *options) == 0
    module = torch.jit.load(out)
    assert module(torch.zeros(1, 3, 33, 47)).shape == (1, 3, 33, 47)


def test_nothing_is_written_that_differs(
    tool, config, checkpoint, tmp_path, monkeypatch, capsys
):
    """As if the trace had kept its size."""
    honest = tool.load_torchscript

    def cheating(content):
        predict = honest(content)
        return lambda images: predict(images) + 0.002 * (len(images) == 3)

    monkeypatch.setattr(tool, 'load_torchscript', cheating)
    before = sorted(tmp_path.iterdir())
    assert run(tool, config, checkpoint, '--format', 'torchscript') == 1
    captured = capsys.readouterr()
    assert '3 of 131 x 97: 2.0e-03' in captured.out
    assert '1 of 4 sizes differ by more than 0.001' in captured.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--format', 'torchscript'), 'describes a model that is trained'),
        (('no.pth', '--format', 'torchscript'), 'no.pth'),
        (
            ('--format', 'torchscript', '--image', 'no.jpg'),
            'no.jpg',
        ),
    ],
)
def test_wrong_use(
    tool, config, arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run(tool, config, *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1]
    assert error[-1].startswith('error: ')


def test_wrong_arguments(tool, config, checkpoint, tmp_path, capsys):
    for arguments, message in (
        (('--format', 'torchscript', '--opset', '17'), '--opset needs'),
        (
            ('--format', 'onnx', '--out', tmp_path / 'no/x.onnx'),
            'no does not exist',
        ),
    ):
        with pytest.raises(SystemExit) as stopped:
            run(tool, config, checkpoint, *arguments)
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


def test_labels_are_needed(tool, repo, capsys):
    """Seeds come from image labels, which a file does not get."""
    config = repo / 'configs/toyland/seeds.py'
    assert run(tool, config, '--format', 'torchscript') == 2
    assert 'needs the image labels' in capsys.readouterr().err


def test_onnx_is_missing(tool, config, checkpoint, monkeypatch, capsys):
    monkeypatch.setitem(__import__('sys').modules, 'onnxscript', None)
    assert run(tool, config, checkpoint, '--format', 'onnx') == 2
    error = capsys.readouterr().err
    assert 'onnxscript' in error
    assert "pip install 'mmseg_weakclip[export]'" in error


def test_unknown_opset(tool, config, checkpoint, monkeypatch, capsys):
    """PyTorch's exporter would write another one and say nothing."""
    pytest.importorskip('onnx')
    options = ('--format', 'onnx', '--opset', '99')
    assert run(tool, config, checkpoint, *options) == 2
    assert 'cannot convert' in capsys.readouterr().err


def test_training_free_models_need_no_checkpoint(
    tool, repo, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    config = repo / 'configs/toyland/zero_shot.py'
    assert run(tool, config, '--format', 'torchscript') == 0
    files = {'metadata.json': ''}
    torch.jit.load(
        io.BytesIO((tmp_path / 'zero_shot.pt').read_bytes()),
        _extra_files=files,
    )
    classes = json.loads(json.loads(files['metadata.json'])['classes'])
    assert classes[0] == 'background'
    assert len(classes) == 9
