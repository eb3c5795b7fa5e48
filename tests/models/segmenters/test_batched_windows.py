"""Windows that go through the network together are those of mmseg."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from mmseg_weakclip.models.segmenters.batched_windows import (
    BatchedEncoderDecoder,
    window_boxes,
)

CROP, STRIDE = (32, 48), (20, 30)


@pytest.fixture
def segmentor(device):
    """A network of random weights, in evaluation mode."""

    def build(kind, **test_cfg):
        torch.manual_seed(0)
        made = MODELS.build(
            dict(
                type=kind,
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
                test_cfg=ConfigDict(
                    mode='slide', crop_size=CROP, stride=STRIDE, **test_cfg
                ),
            )
        )
        return made.to(device).eval()

    return build


@torch.no_grad()
def run(model: EncoderDecoder, images: torch.Tensor) -> torch.Tensor:
    metas = [dict(ori_shape=images.shape[2:])] * len(images)
    metas = [dict(meta, img_shape=tuple(images.shape[2:])) for meta in metas]
    return model.inference(images, metas)


@pytest.mark.parametrize('size', [(32, 48), (70, 61), (20, 100), (33, 49)])
@pytest.mark.parametrize('batch', [1, 2])
def test_as_one_by_one(segmentor, device, size, batch):
    images = torch.randn(batch, 3, *size, device=device)
    expected = run(segmentor('EncoderDecoder'), images)
    # Four windows at once at most, then the rest.
    pixels = 4 * batch * 32 * 48
    for own in (dict(), dict(batch_pixels=pixels)):
        found = run(segmentor('BatchedEncoderDecoder', **own), images)
        assert found.shape == (batch, 3, *size)
        assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ('batch_pixels', 'sizes'),
    [
        (0, [1] * 6),
        (32 * 48, [1] * 6),
        (4 * 32 * 48 + 7, [4, 2]),
        (2**20, [6]),
    ],
)
def test_windows_per_pass(batch_pixels, sizes):
    model = BatchedEncoderDecoder.__new__(BatchedEncoderDecoder)
    torch.nn.Module.__init__(model)
    model.test_cfg = ConfigDict(
        mode='slide',
        crop_size=CROP,
        stride=STRIDE,
        batch_pixels=batch_pixels,
    )
    model.out_channels = 3
    seen, labels = [], []

    def encode_decode(windows, metas):
        seen.append(len(windows))
        labels.extend(meta['image_labels'] for meta in metas)
        assert all(
            isinstance(meta['img_shape'], torch.Size)
            and meta['img_shape'] == windows.shape[2:]
            for meta in metas
        )
        return windows

    model.encode_decode = encode_decode
    images = torch.rand(1, 3, 50, 100)
    metas = [dict(image_labels=(1, 2), img_shape=(50, 100))]
    found = model.slide_inference(images, metas)
    # The mean of the same pixel over all windows.
    assert torch.allclose(found, images, atol=1e-6)
    assert seen == sizes
    assert labels == [(1, 2)] * 6
    assert metas[0]['img_shape'] == (50, 100)


def test_boxes_by_hand():
    assert window_boxes((5, 7), (3, 4), (2, 3)) == [
        (slice(0, 3), slice(0, 4)),
        (slice(0, 3), slice(3, 7)),
        (slice(2, 5), slice(0, 4)),
        (slice(2, 5), slice(3, 7)),
    ]
    # The last one is moved inwards; a small side is one window.
    assert window_boxes((2, 6), (3, 4), (2, 4)) == [
        (slice(0, 2), slice(0, 4)),
        (slice(0, 2), slice(2, 6)),
    ]


@pytest.mark.parametrize('stride', [(4, 3), (0, 3)])
def test_gaps_are_refused(stride):
    with pytest.raises(ValueError, match='pixels would be left out'):
        window_boxes((9, 9), (3, 3), stride)
