"""A sweep gives what separate runs give, for one pass of the network."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_weakclip.evaluation.threshold_metrics import BackgroundIoU
from mmseg_weakclip.evaluation.thresholds import (
    check_threshold,
    parse_thresholds,
    predict_at_thresholds,
)

CLIP = dict(model='toyclip', pretrained=None)
SIZE, ORIGINAL = (40, 56), (53, 75)
CLASSES = ('background', 'boat', 'fish', 'house')
WHOLE = dict(mode='whole')
SLIDE = dict(mode='slide', crop_size=(24, 32), stride=(16, 16))
TEXT = dict(type='TemplateText', **CLIP, names=CLASSES[1:])
PARTS = dict(
    regions=dict(
        backbone=dict(
            type='GroupingCLIPViT',
            **CLIP,
            out_indices=(4,),
            group=dict(type='SemanticGroup', channels=128, num_heads=4),
            group_after=5,
            frozen=False,
            with_tokens=True,
        ),
        decode_head=dict(
            type='RegionTextHead',
            num_classes=4,
            text=TEXT,
            threshold=0.123,
            topk=None,
            logit_scale=20.0,
        ),
    ),
    patches=dict(
        backbone=dict(
            type='CLIPViT', **CLIP, dense='naclip', with_tokens=True
        ),
        decode_head=dict(
            type='PatchTextHead',
            num_classes=4,
            text=TEXT,
            threshold=0.123,
            logit_scale=20.0,
        ),
    ),
    binary=dict(
        backbone=dict(type='CLIPViT', **CLIP),
        decode_head=dict(
            type='FCNHead',
            in_channels=128,
            in_index=0,
            channels=8,
            num_classes=2,
            out_channels=1,
            threshold=0.123,
        ),
    ),
)


@pytest.fixture
def make_model(device):
    def make(parts, test_cfg=WHOLE, preprocessor=None):
        torch.manual_seed(0)
        cfg = dict(
            type='EncoderDecoder',
            data_preprocessor=preprocessor
            or dict(
                type='WeakSegDataPreProcessor',
                mean=[120.0] * 3,
                std=[60.0] * 3,
                bgr_to_rgb=True,
                size=SIZE,
            ),
            **copy.deepcopy(parts),
            test_cfg=ConfigDict(test_cfg),
        )
        return MODELS.build(cfg).to(device).eval()

    return make


@pytest.fixture
def batch():
    """Two images with truth; predictions have its size."""
    rng = np.random.default_rng(0)
    inputs, samples = [], []
    for index in range(2):
        inputs.append(torch.from_numpy(rng.integers(0, 256, (3, *SIZE))))
        truth = torch.from_numpy(rng.integers(0, 4, (1, *ORIGINAL)))
        samples.append(
            SegDataSample(
                gt_sem_seg=PixelData(data=truth),
                metainfo=dict(
                    img_path=f'{index}.jpg',
                    img_shape=SIZE,
                    ori_shape=ORIGINAL,
                    pad_shape=SIZE,
                ),
            )
        )
    return dict(inputs=inputs, data_samples=samples)


def score(metric, samples):
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, [sample.to_dict() for sample in samples])
    return metric.evaluate(len(samples))


@torch.no_grad()
@pytest.mark.parametrize(
    ('parts', 'test_cfg', 'windows'),
    [
        ('regions', WHOLE, 1),
        ('regions', SLIDE, 6),
        ('patches', WHOLE, 1),
        ('patches', SLIDE, 6),
        ('binary', SLIDE, 6),
    ],
)
def test_as_separate_runs(make_model, batch, parts, test_cfg, windows):
    model = make_model(PARTS[parts], test_cfg)
    thresholds = (0.3, 0.34, 0.36, 0.4, 0.45, 0.5, 0.6)
    expected = []
    for threshold in thresholds:
        model.decode_head.threshold = threshold
        expected.append(model.test_step(copy.deepcopy(batch)))
    model.decode_head.threshold = 0.123
    calls = []
    model.backbone.register_forward_hook(lambda *_: calls.append(1))
    shares = set()
    swept = predict_at_thresholds(model, copy.deepcopy(batch), thresholds)
    for (threshold, samples), wanted in zip(swept, zip(thresholds, expected)):
        assert threshold == wanted[0]
        for sample, alone in zip(samples, wanted[1]):
            assert sample.pred_sem_seg.shape == ORIGINAL
            for name in ('seg_logits', 'pred_sem_seg'):
                one, other = sample.get(name).data, alone.get(name).data
                assert torch.equal(one, other), (threshold, name)
        ours = score(BackgroundIoU(), samples)
        stock = score(IoUMetric(), wanted[1])
        assert round(ours['mIoU'], 2) == pytest.approx(stock['mIoU'], abs=0.01)
        background = samples[0].pred_sem_seg.data == 0
        shares.add(background.float().mean().item())
    assert len(calls) == windows
    # Were the threshold without effect, all of this would pass.
    assert len(shares) > 1


@torch.no_grad()
def test_padding_is_added_once(make_model, batch):
    preprocessor = dict(
        type='SegDataPreProcessor', test_cfg=dict(size_divisor=64)
    )
    model = make_model(PARTS['patches'], WHOLE, preprocessor)
    model.decode_head.threshold = 0.4
    expected = model.test_step(copy.deepcopy(batch))
    *_, (_, samples) = predict_at_thresholds(model, batch, (0.2, 0.3, 0.4))
    for sample, alone in zip(samples, expected):
        assert torch.equal(sample.seg_logits.data, alone.seg_logits.data)


@torch.no_grad()
@pytest.mark.parametrize('how', ['to the end', 'broken off', 'error'])
def test_model_is_left_as_it_was(make_model, batch, how):
    model = make_model(PARTS['patches'])
    before = model.test_step(copy.deepcopy(batch))
    swept = predict_at_thresholds(model, copy.deepcopy(batch), (0.3, 0.6))
    next(swept)
    if how == 'broken off':
        swept.close()
    elif how == 'error':
        with pytest.raises(KeyError):
            swept.throw(KeyError)
    else:
        list(swept)
    assert model.decode_head.threshold == 0.123
    assert 'extract_feat' not in vars(model)
    other = dict(batch, inputs=[image.flip(1) for image in batch['inputs']])
    flipped = model.test_step(copy.deepcopy(other))
    again = model.test_step(copy.deepcopy(batch))
    # Nothing is remembered from one batch to the next.
    for first, second, third in zip(before, again, flipped):
        assert torch.equal(first.seg_logits.data, second.seg_logits.data)
        assert not torch.equal(first.seg_logits.data, third.seg_logits.data)


def test_heads_with_a_threshold(make_model):
    plain = copy.deepcopy(PARTS['binary'])
    plain['decode_head'].update(out_channels=2, threshold=None)
    model = make_model(plain)
    # It has the attribute, as all of mmseg's heads.
    assert model.decode_head.threshold is None
    with pytest.raises(ValueError, match='decode_head, FCNHead, has no'):
        check_threshold(model)
    with pytest.raises(ValueError, match='decode_head, FCNHead, has no'):
        next(predict_at_thresholds(model, {}, (0.5,)))
    for parts in PARTS.values():
        check_threshold(make_model(parts))
    words = copy.deepcopy(PARTS['patches'])
    words['decode_head']['threshold'] = None
    words['decode_head']['text'] = dict(TEXT, background_words=('sky',))
    check_threshold(make_model(words))


@pytest.mark.parametrize(
    ('texts', 'expected'),
    [
        (['.4', '.2', '.4'], (0.2, 0.4)),
        (['0.05:0.95:0.05'], tuple(i / 20 for i in range(1, 20))),
        (['0:1:.5', '0.3'], (0, 0.3, 0.5, 1)),
        (['.1:.4:.2'], (0.1, 0.3)),
        (['0', '1', '.5:.5:.1'], (0, 0.5, 1)),
    ],
)
def test_thresholds_are_read(texts, expected):
    assert parse_thresholds(texts) == expected


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('half', "'half' is neither"),
        ('.1:.2', "'.1:.2' is neither"),
        ('1.2', r"'1.2' must lie in \[0, 1\]"),
        ('-.1:.5:.1', r'must lie in \[0, 1\]'),
        ('.5:1.5:.1', r'must lie in \[0, 1\]'),
        ('nan', r'must lie in \[0, 1\]'),
        ('.5:.1:.1', 'must go upwards'),
        ('.1:.5:-.1', 'must go upwards'),
        ('.1:.5:0', 'without a step'),
    ],
)
def test_no_thresholds(text, message):
    with pytest.raises(ValueError, match=message):
        parse_thresholds([text])
