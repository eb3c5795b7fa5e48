"""Parts that can be traced, beside those that they stand for."""

import pytest
import torch
import torch.nn.functional as F
from mmseg.models.utils import Upsample
from mmseg.models.utils.embed import AdaptivePadding
from mmseg.registry import MODELS
from torch import nn

from mmseg_weakclip.apps.export.traceable import (
    FixedText,
    TraceableAvgPool,
    TraceablePadding,
    TraceableUpsample,
    make_traceable,
    pooling_matrix,
)

SIZES = [(7, 10), (12, 5), (6, 6), (13, 17)]


def parts():
    upsample = dict(mode='bilinear', align_corners=False)
    return {
        'upsample': Upsample(scale_factor=2, **upsample),
        'upsample-odd': Upsample(scale_factor=1.5, **upsample),
        'corner': AdaptivePadding(4, 4, padding='corner'),
        'same': AdaptivePadding((5, 3), (2, 3), padding='same'),
        'dilated': AdaptivePadding(3, 4, dilation=2),
        'pool': nn.AdaptiveAvgPool2d(3),
        'pool-uneven': nn.AdaptiveAvgPool2d((2, 5)),
    }


@pytest.mark.parametrize('name', parts())
def test_equals_what_it_stands_for(name):
    holder = nn.Sequential(parts()[name])
    replaced = make_traceable(nn.Sequential(parts()[name]))
    assert type(replaced[0]) is not type(holder[0])
    traced = torch.jit.trace(
        replaced, torch.rand(2, 3, 11, 8), check_trace=False
    )
    for height, width in SIZES:
        x = torch.randn(1, 3, height, width)
        expected = holder(x)
        assert torch.allclose(replaced(x), expected, atol=1e-6)
        # The size of the trace is nowhere in it.
        assert traced(x).shape == expected.shape
        assert torch.allclose(traced(x), expected, atol=1e-6)


def test_without_replacement_the_trace_keeps_its_size():
    """What all this is for; if it fails, PyTorch has made it needless."""
    traced = torch.jit.trace(
        parts()['upsample'], torch.rand(1, 1, 4, 4), check_trace=False
    )
    assert traced(torch.rand(1, 1, 6, 6)).shape[2:] == (8, 8)


def test_pooling_by_hand():
    expected = [[1 / 3, 1 / 3, 1 / 3, 0, 0], [0, 0, 1 / 3, 1 / 3, 1 / 3]]
    found = pooling_matrix(torch.rand(5), 2)
    assert torch.allclose(found, torch.tensor(expected))


def test_what_is_left_alone():
    gap = AdaptivePadding(2, 4)  # windows with gaps need no full cover
    model = nn.ModuleList(
        [
            nn.AdaptiveAvgPool2d(1),
            nn.AdaptiveAvgPool2d((None, 2)),
            Upsample(size=(4, 4)),
            gap,
            nn.SyncBatchNorm(3),
        ]
    )
    kinds = [type(part) for part in make_traceable(model)[:4]]
    assert kinds == [
        nn.AdaptiveAvgPool2d,
        nn.AdaptiveAvgPool2d,
        Upsample,
        AdaptivePadding,
    ]


def test_syncbn_becomes_bn_and_dropout_sleeps():
    model = nn.Sequential(nn.SyncBatchNorm(3), nn.Dropout(0.5))
    model[0].running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    replaced = make_traceable(model)
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in replaced)
    x = torch.full((1, 3, 2, 2), 2.0)
    assert torch.allclose(
        replaced(x)[0, :, 0, 0], torch.tensor([1.0, 0.0, -1.0]), atol=1e-4
    )


def test_text_banks_become_their_embeddings():
    bank = MODELS.build(
        dict(
            type='TemplateText',
            model='toyclip',
            pretrained='toyland',
            names=['boat', ('car', 'house')],
            background_words=['water'],
            synonyms='keep',
        )
    )
    expected = bank()
    fixed = make_traceable(nn.ModuleDict(dict(text=bank)))['text']
    assert isinstance(fixed, FixedText)
    assert torch.equal(fixed(), expected)
    assert len(fixed) == 2
    assert fixed.rows_per_class == [1, 2, 1]
    assert not list(fixed.parameters())  # no text tower in the file


def test_padding_is_zero_and_on_the_right_side():
    x = torch.ones(1, 1, 3, 5)
    padded = TraceablePadding(AdaptivePadding(4, 4))(x)
    assert torch.equal(padded, F.pad(x, (0, 3, 0, 1)))


def test_factors_are_exact():
    part = TraceableUpsample(Upsample(scale_factor=0.1, mode='nearest'))
    assert part(torch.rand(1, 1, 30, 19)).shape[2:] == (3, 1)


def test_pool_of_fewer_pixels_than_cells():
    x = torch.rand(1, 2, 2, 3)
    expected = F.adaptive_avg_pool2d(x, 6)
    assert torch.allclose(TraceableAvgPool((6, 6))(x), expected, atol=1e-6)
