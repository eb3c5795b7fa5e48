"""Half precision ends where the logits begin, and with the block."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from mmseg_weakclip.engine import precision
from mmseg_weakclip.engine.precision import choose_amp_dtype, half_precision


@pytest.fixture
def segmentor(device):
    torch.manual_seed(0)
    made = MODELS.build(
        dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor'),
            backbone=dict(type='ResNet', depth=18, base_channels=8),
            decode_head=dict(
                type='FCNHead',
                in_channels=64,
                channels=8,
                num_convs=1,
                num_classes=3,
                norm_cfg=dict(type='BN'),
            ),
            test_cfg=ConfigDict(mode='whole'),
        )
    )
    return made.to(device).eval()


@torch.no_grad()
def logits_of(model) -> torch.Tensor:
    torch.manual_seed(0)
    device = next(model.parameters()).device
    images = torch.randint(0, 256, (2, 3, 40, 56)).float().to(device)
    (one, two) = model.test_step(dict(inputs=list(images)))
    return torch.stack([one.seg_logits.data, two.seg_logits.data])


def test_only_the_network_is_in_it(segmentor, monkeypatch):
    head = segmentor.decode_head
    seen = []
    resize = type(head).predict_by_feat

    def look(self, logits, metas):
        seen.append(logits.dtype)
        return resize(self, logits, metas)

    monkeypatch.setattr(type(head), 'predict_by_feat', look)
    low = []
    head.conv_seg.register_forward_hook(lambda m, i, out: low.append(out))
    full = logits_of(segmentor)
    with half_precision(segmentor, torch.bfloat16):
        half = logits_of(segmentor)
    again = logits_of(segmentor)
    assert [x.dtype for x in low] == [
        torch.float32, torch.bfloat16, torch.float32
    ]  # fmt: skip
    assert seen == [torch.float32] * 3
    assert half.dtype == torch.float32
    assert torch.equal(again, full)
    assert not torch.equal(half, full)
    assert torch.allclose(half, full, atol=0.05 * float(full.abs().max()))


def test_nothing_is_left_behind(segmentor):
    with (
        pytest.raises(RuntimeError, match='mine'),
        half_precision(segmentor, torch.bfloat16),
    ):
        raise RuntimeError('mine')
    assert not {'test_step', 'predict'} & set(vars(segmentor))
    assert 'predict_by_feat' not in vars(segmentor.decode_head)

    def compiled(data):
        return torch.is_autocast_enabled(
            next(segmentor.parameters()).device.type
        )

    segmentor.test_step = compiled
    with half_precision(segmentor, torch.bfloat16):
        assert segmentor.test_step({})
    assert segmentor.test_step is compiled
    with half_precision(segmentor, None):
        assert segmentor.test_step is compiled


@pytest.mark.parametrize(
    ('name', 'device_type', 'expected'),
    [
        ('auto', 'cpu', torch.bfloat16),
        ('bfloat16', 'cpu', torch.bfloat16),
        ('auto', 'cuda', torch.float16),
        ('float16', 'cuda', torch.float16),
        ('bfloat16', 'cuda', torch.bfloat16),
    ],
)
def test_choice(name, device_type, expected, monkeypatch):
    monkeypatch.setattr(precision, 'has_fast_bfloat16', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda **_: True)
    assert choose_amp_dtype(name, device_type) == expected


def test_an_old_cpu_stays_in_float32(monkeypatch):
    said = []
    monkeypatch.setattr(precision, 'has_fast_bfloat16', lambda: False)
    monkeypatch.setattr(
        precision, 'print_log', lambda text, *_, **__: said.append(text)
    )
    assert choose_amp_dtype('auto', 'cpu') is None
    assert 'no instructions for bfloat16' in said[0]
    assert choose_amp_dtype('bfloat16', 'cpu') == torch.bfloat16


@pytest.mark.parametrize(
    ('name', 'device_type', 'message'),
    [
        ('half', 'cpu', "amp_dtype='half' must be one of"),
        ('float16', 'cpu', 'float16 needs a GPU'),
        ('bfloat16', 'cuda', 'compute capability 8.0'),
        ('auto', 'mps', 'not on mps: leave out --amp'),
    ],
)
def test_refusals(name, device_type, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda **_: False)
    with pytest.raises(ValueError, match=message):
        choose_amp_dtype(name, device_type)


def test_has_fast_bfloat16_asks_the_processor(monkeypatch):
    for feature in ('_is_avx512_bf16_supported', '_is_amx_tile_supported'):
        monkeypatch.setattr(torch.cpu, feature, lambda: False)
    monkeypatch.setattr(
        torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX2'
    )
    assert not precision.has_fast_bfloat16()
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: True)
    assert precision.has_fast_bfloat16()


def test_lists_of_outputs_pass_through():
    outputs = [torch.zeros(1)]
    assert precision._in_float32(lambda x: x)(outputs) is outputs
