"""The field's DeepLabV2: three scales, their maximum, and four losses."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from PIL import Image
from small_resnet import small_resnet

from mmseg_weakclip.models.segmenters import multi_scale

SCALES = (0.75, 0.5)
SIZES = [(64, 96), (321, 321), (57, 83)]


def build(**options):
    torch.manual_seed(0)
    config = ConfigDict(
        type='MultiScaleSegmentor',
        backbone=small_resnet(
            norm_cfg=dict(type='BN', requires_grad=False), norm_eval=True
        ),
        decode_head=dict(
            type='DeepLabV2Head',
            in_channels=4,
            in_index=0,
            num_classes=5,
            dilations=(1, 2),
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        ),
        test_cfg=dict(mode='whole'),
    )
    config.update(options)
    model = MODELS.build(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def make_batch(height, width, number=2):
    images = torch.randn(number, 3, height, width)
    labels = torch.randint(0, 5, (number, 1, height, width))
    labels[:, :, : height // 3, : width // 4] = 255
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=mask),
            metainfo=dict(
                img_shape=(height, width), ori_shape=(height, width)
            ),
        )
        for mask in labels
    ]
    return images, labels, samples


def network(model, images):
    return model.decode_head(model.backbone(images))


def naive_outputs(model, images):
    """Three outputs, and the maximum on the grid of the first."""
    outputs = [network(model, images)]
    for scale in SCALES:
        small = F.interpolate(
            images, scale_factor=scale, mode='bilinear', align_corners=False
        )
        outputs.append(network(model, small))
    grown = [
        F.interpolate(o, outputs[0].shape[2:], mode='bilinear')
        for o in outputs
    ]
    return [*outputs, torch.stack(grown).max(0).values]


def naive_loss(model, images, labels):
    """Labels under the pixels' centres on each grid, the sum of the means."""
    total = 0.0
    for logits in naive_outputs(model, images):
        old, new = labels.shape[2:], logits.shape[2:]
        target = torch.zeros(len(labels), *new, dtype=torch.long)
        for i in range(new[0]):
            for j in range(new[1]):
                y = Fraction(2 * i + 1, 2) * Fraction(old[0], new[0])
                x = Fraction(2 * j + 1, 2) * Fraction(old[1], new[1])
                target[:, i, j] = labels[:, 0, floor(y), floor(x)]
        total += F.cross_entropy(logits, target, ignore_index=255)
    return total


@pytest.mark.parametrize('size', SIZES)
def test_loss_is_the_sum_of_four(size):
    model = build().train()
    images, labels, samples = make_batch(*size)
    losses = model.loss(images, samples)
    names = {name for name in losses if 'loss' in name}
    assert names == {
        'decode.loss_ce',
        'decode_0.75.loss_ce',
        'decode_0.5.loss_ce',
        'decode_max.loss_ce',
    }
    total, _ = model.parse_losses(losses)
    expected = naive_loss(model, images, labels)
    assert torch.allclose(total, expected, rtol=1e-5)
    model.zero_grad()
    total.backward()
    ours = [p.grad for p in model.parameters() if p.requires_grad]
    wanted = torch.autograd.grad(
        expected, [p for p in model.parameters() if p.requires_grad]
    )
    for one, other in zip(ours, wanted):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('size', [41, 31, 21])
def test_labels_are_resized_as_by_pillow(size):
    mask = torch.randint(0, 21, (1, 1, 321, 321))
    (sample,) = multi_scale._samples_at(mask, torch.zeros(1, 2, size, size))
    image = Image.fromarray(mask[0, 0].numpy().astype(np.uint8))
    expected = image.resize((size, size), Image.Resampling.NEAREST)
    found = sample.gt_sem_seg.data[0].numpy()
    assert np.array_equal(found, np.asarray(expected))


@pytest.mark.parametrize('size', SIZES)
def test_prediction_is_the_maximum_at_image_size(size):
    model = build().eval()
    images, _, samples = make_batch(*size)
    with torch.no_grad():
        maximum = naive_outputs(model, images)[-1]
        assert torch.allclose(model(images), maximum, atol=1e-5)
        found = model.predict(images, samples)
    expected = F.interpolate(maximum, size, mode='bilinear')
    for sample, logits in zip(found, expected):
        assert torch.allclose(sample.seg_logits.data, logits, atol=1e-5)


def test_images_of_a_batch_do_not_meet():
    model = build().eval()
    images, _, _ = make_batch(40, 56)
    with torch.no_grad():
        both = model(images)
        alone = torch.cat([model(image[None]) for image in images])
    assert torch.allclose(both, alone, atol=1e-5)


def test_bfloat16(device):
    model = build().to(device).train()
    images, _, samples = make_batch(48, 72)
    samples = [sample.to(device) for sample in samples]
    exact, _ = model.parse_losses(model.loss(images.to(device), samples))
    with torch.autocast(device.type, torch.bfloat16):
        rough, _ = model.parse_losses(model.loss(images.to(device), samples))
    rough.backward()
    assert rough.item() == pytest.approx(exact.item(), rel=0.05)
    assert all(
        torch.isfinite(p.grad).all()
        for p in model.parameters()
        if p.requires_grad
    )


def test_one_scale_and_an_auxiliary_head():
    head = dict(
        type='FCNHead', in_channels=4, in_index=0, channels=4, num_convs=0,
        concat_input=False, num_classes=5,
    )  # fmt: skip
    model = build(scales=(0.5,), auxiliary_head=head).train()
    images, _, samples = make_batch(32, 48)
    names = {n for n in model.loss(images, samples) if 'loss' in n}
    assert len(names) == 4
    assert 'aux.loss_ce' in names


@pytest.mark.parametrize('scales', [(), (0.5, 0), (-1,)])
def test_wrong_scales(scales):
    with pytest.raises(ValueError, match='scales=.* positive'):
        build(scales=scales)
