"""Files of small segmentors, run on other sizes than they were traced on."""

import io
import json

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_weakclip.apps.export.check import TOLERANCE, compare, random_images
from mmseg_weakclip.apps.export.formats import (
    load_onnx,
    load_torchscript,
    to_onnx,
    to_torchscript,
)
from mmseg_weakclip.apps.export.segmenter import ExportError, ExportSegmenter
from mmseg_weakclip.toyland.objects import CLASSES

TRACED = (2, 64, 96)
SIZES = (TRACED, (1, 64, 64), (3, 51, 77), (1, 110, 70))


def differences(predict, model, output='logits'):
    batches = [random_images(size) for size in SIZES]
    comparisons = list(compare(predict, model, batches, output))
    assert [c.size for c in comparisons] == list(SIZES)
    return [comparison.difference for comparison in comparisons]


@pytest.mark.parametrize(
    'name',
    [
        'fpn',
        'deeplabv2',
        'multi_scale',
        'deeplabv3plus',
        'pspnet',
        'segformer',
        'segmenter',
        'upernet_vit',
    ],
)
def test_torchscript(build, name):
    model = build(name)
    content = to_torchscript(ExportSegmenter(model), random_images(TRACED), {})
    assert max(differences(load_torchscript(content), model)) < 1e-4


def test_swin_is_found_out(build):
    """The traced size passes, others do not."""
    model = build('swin')
    content = to_torchscript(ExportSegmenter(model), random_images(TRACED), {})
    traced, *others = differences(load_torchscript(content), model)
    assert traced < 1e-4
    assert max(others) > TOLERANCE


@pytest.mark.parametrize('output', ['probabilities', 'mask'])
def test_other_outputs(build, output):
    model = build('fpn')
    content = to_torchscript(
        ExportSegmenter(model, output), random_images(TRACED), {}
    )
    found = differences(load_torchscript(content), model, output)
    assert max(found) < 1e-5


@pytest.mark.parametrize('name', ['weakclip', 'zero_shot', 'segclip'])
def test_segmenters_on_clip(repo, name):
    cfg = Config.fromfile(repo / f'configs/toyland/{name}.py')
    cfg.model.pop('auxiliary_head', None)
    model = MODELS.build(cfg.model)
    head = model.neck if name == 'weakclip' else model.decode_head
    head.text.set_names(['background', *CLASSES])
    model.eval()
    content = to_torchscript(ExportSegmenter(model), random_images(TRACED), {})
    assert max(differences(load_torchscript(content), model)) < 1e-4
    # The text tower has 1.3 M parameters, 5 MB.
    has_tower = any(
        'text.tower' in key
        for key in torch.jit.load(io.BytesIO(content)).state_dict()
    )
    assert not has_tower


def test_onnx(build):
    pytest.importorskip('onnx')
    model = build('segformer')
    content = to_onnx(
        ExportSegmenter(model),
        random_images(TRACED),
        dict(classes=json.dumps(['a', 'b', 'ü', 'd'])),
    )
    assert max(differences(load_onnx(content), model)) < 1e-4
    import onnxruntime

    session = onnxruntime.InferenceSession(content)
    (images,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.shape) == (
        'images',
        ['batch', 3, 'height', 'width'],
    )
    assert (logits.name, logits.shape) == (
        'logits',
        ['batch', 4, 'height', 'width'],
    )
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties['classes']) == ['a', 'b', 'ü', 'd']


def test_metadata_of_torchscript(build):
    content = to_torchscript(
        ExportSegmenter(build('fpn')), random_images(TRACED), dict(a='ü')
    )
    files = {'metadata.json': ''}
    torch.jit.load(io.BytesIO(content), _extra_files=files)
    assert json.loads(files['metadata.json']) == dict(a='ü')


def test_untraceable_is_said_in_a_line(build):
    class Stubborn(ExportSegmenter):
        def forward(self, images):
            raise RuntimeError('first line\nsecond line')

    with pytest.raises(ExportError) as raised:
        to_torchscript(Stubborn(build('fpn')), random_images(TRACED), {})
    assert 'TorchScript' in str(raised.value)
    assert 'first line' in str(raised.value)
    assert 'second' not in str(raised.value)


def test_no_number_is_no_pass(build):
    model = build('fpn')
    for broken, problem in (
        (lambda x: torch.full((len(x), 4, *x.shape[2:]), torch.nan), ''),
        (lambda x: torch.zeros(1), 'its output is'),
        (lambda x: 1 / 0, 'cannot be run: division by zero'),
    ):
        (found,) = compare(broken, model, [random_images(TRACED)], 'logits')
        assert not found.passes
        assert problem in found.problem
