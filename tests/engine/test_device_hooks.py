from types import SimpleNamespace

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import HOOKS, MODELS
from torch import nn

from mmseg_weakclip.engine.optim import TrainableOptimWrapperConstructor
from mmseg_weakclip.pseudo_masks.tta import RunningTTAModel


@pytest.fixture(autouse=True)
def _as_it_was():
    precision = torch.get_float32_matmul_precision()
    benchmark = torch.backends.cudnn.benchmark
    yield
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.benchmark = benchmark


@pytest.mark.parametrize('precision', ['highest', 'high'])
def test_matmul_precision(precision):
    hook = HOOKS.build(dict(type='BackendHook', matmul_precision=precision))
    hook.before_run(None)
    assert torch.get_float32_matmul_precision() == precision


def test_unknown_precision():
    with pytest.raises(ValueError, match="'tf32' of BackendHook must be one"):
        HOOKS.build(dict(type='BackendHook', matmul_precision='tf32'))


@pytest.mark.parametrize('kind', ['val', 'test'])
@pytest.mark.parametrize('wanted', [False, True])
@pytest.mark.parametrize('set_before', [False, True])
def test_cudnn_in_tests(kind, wanted, set_before):
    hook = HOOKS.build(dict(type='BackendHook', benchmark_tests=wanted))
    torch.backends.cudnn.benchmark = set_before
    getattr(hook, f'before_{kind}')(None)
    assert torch.backends.cudnn.benchmark == (set_before and wanted)
    getattr(hook, f'after_{kind}')(None)
    assert torch.backends.cudnn.benchmark == set_before


def test_every_config_has_it(repo):
    text = (repo / 'configs/_base_/default_runtime.py').read_text()
    assert "dict(type='BackendHook', matmul_precision='high')" in text


@pytest.fixture
def segmentor():
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor'),
            backbone=dict(
                type='CLIPViT',
                model='toyclip',
                pretrained=None,
                with_tokens=True,
                dense='maskclip',
            ),
            decode_head=dict(
                type='PatchTextHead',
                num_classes=2,
                text=dict(
                    type='TemplateText',
                    model='toyclip',
                    pretrained=None,
                    names=['cat', 'dog'],
                ),
            ),
            test_cfg=ConfigDict(mode='whole'),
        )
    ).eval()


@pytest.mark.parametrize('views', [False, True])
def test_compiled_parts_predict_the_same(segmentor, views):
    images = [torch.rand(3, 48, 64) * 255]
    names = list(segmentor.state_dict())

    @torch.no_grad()
    def predict():
        (sample,) = segmentor.test_step(dict(inputs=images))
        return sample.seg_logits.data

    expected = predict()
    model = RunningTTAModel(segmentor) if views else segmentor
    calls = []

    def backend(graph, inputs):
        calls.append(graph)
        return graph.forward

    hook = HOOKS.build(dict(type='CompileHook', backend=backend))
    hook.before_run(SimpleNamespace(model=model))
    assert torch.allclose(predict(), expected, atol=1e-5)
    assert calls
    assert list(segmentor.state_dict()) == names


def test_unknown_part(segmentor):
    hook = HOOKS.build(dict(type='CompileHook', parts=['body']))
    with pytest.raises(ValueError, match="no part 'body'; there are"):
        hook.before_run(SimpleNamespace(model=segmentor))


def test_fused_adamw_is_adamw():
    """A config value of every schedule with AdamW."""
    weights = []
    for fused in (False, True):
        torch.manual_seed(0)
        layer = nn.Linear(5, 3)
        optimizer = dict(type='AdamW', lr=0.1, weight_decay=0.2, fused=fused)
        wrapper = TrainableOptimWrapperConstructor(
            dict(type='OptimWrapper', optimizer=optimizer)
        )(layer)
        for _ in range(3):
            wrapper.update_params(layer(torch.ones(2, 5)).square().sum())
        assert wrapper.optimizer.defaults['fused'] == fused
        weights.append(layer.weight.detach())
    assert torch.allclose(*weights, atol=1e-6)
