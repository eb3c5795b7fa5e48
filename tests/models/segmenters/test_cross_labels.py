"""Two networks that label each other's unsure pixels."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from small_resnet import small_resnet

from mmseg_weakclip.models.segmenters.class_mix import mix_classes


def build(device, **options):
    torch.manual_seed(0)
    config = ConfigDict(
        type='CrossLabelSegmentor',
        backbone=small_resnet(),
        decode_head=dict(
            type='FCNHead',
            in_channels=4,
            in_index=0,
            channels=4,
            num_classes=5,
            norm_cfg=dict(type='BN'),
            dropout_ratio=0.1,
        ),
        test_cfg=dict(mode='whole'),
    )
    config.update(options)
    model = MODELS.build(config)
    model.init_weights()
    for network in (model, model.second):
        torch.nn.init.normal_(network.decode_head.conv_seg.weight)
    return model.to(device)


def make_batch(device, number=2, height=24, width=40):
    torch.manual_seed(1)
    images = torch.randn(number, 3, height, width, device=device)
    labels = torch.randint(0, 4, (number, 1, height, width), device=device)
    labels[:, :, ::2] = 255
    # The last columns of the first image are padding.
    labels[0, :, :, 30:] = 255
    samples = []
    for index, mask in enumerate(labels):
        shape = (height, 30 if index == 0 else width)
        sample = SegDataSample(metainfo=dict(img_shape=shape))
        sample.gt_sem_seg = PixelData(data=mask)
        samples.append(sample)
    return images, samples


@pytest.fixture
def go_to():
    """Function that says how far the training of 100 iterations is."""
    hub = MessageHub.get_current_instance()
    before = dict(hub.runtime_info)

    def at(iteration):
        hub.update_info('iter', iteration)
        hub.update_info('max_iters', 100)

    yield at
    hub.runtime_info.clear()
    hub.runtime_info.update(before)


def naive_losses(logits, images, samples, weight=None):
    """The paper's four terms, image by image, without mixing."""
    first, second = logits
    found = dict.fromkeys(['a', 'b', 'c', 'd'], 0.0)
    pixels = 0
    for index, sample in enumerate(samples):
        height, width = sample.metainfo['img_shape']
        labels = sample.gt_sem_seg.data[0, :height, :width]
        shown = sorted({0, *labels.unique().tolist()} - {255})
        maps = [m[index, :, :height, :width] for m in (first, second)]
        table = torch.tensor(shown, device=labels.device)
        own = [table[m[shown].argmax(0)] for m in maps]
        pixels += height * width
        sure = labels != 255
        for name, m in zip('ab', maps):
            every = F.cross_entropy(
                m[None], labels.where(sure, 0)[None], reduction='none'
            )[0]
            found[name] += every[sure].sum()
        for name, m, other in zip('cd', maps, own[::-1]):
            every = F.cross_entropy(m[None], other[None], reduction='none')[0]
            found[name] += every[~sure].sum()
    return {name: value / pixels for name, value in found.items()}


def see(model, images, size=(24, 40)):
    networks = (model, model.second)
    return [
        F.interpolate(
            n.decode_head(n.extract_feat(images)), size, mode='bilinear'
        )
        for n in networks
    ]


def test_is_the_formula(device):
    model = build(device, mix=0.0).eval()
    images, samples = make_batch(device)
    losses = model.loss(images, samples)
    expected = naive_losses(see(model, images), images, samples)
    names = ('decode.loss_sure', 'second.loss_sure', 'decode.loss_cross',
             'second.loss_cross')  # fmt: skip
    for name, value in zip(names, expected.values()):
        assert float(losses[name]) == pytest.approx(float(value), rel=1e-4)
    own = [m.argmax(1) for m in see(model, images)]
    assert not own[0].equal(own[1])  # they start apart


def test_any_class_as_published(device):
    """Without the limit, a class that no mask shows may be given."""
    images, samples = make_batch(device)
    limited, free = (
        build(device, mix=0.0, own_classes=flag).eval()
        for flag in (True, False)
    )
    # The second network sees the fifth class, which no mask has, everywhere.
    for model in (limited, free):
        torch.nn.init.zeros_(model.second.decode_head.conv_seg.weight)
        bias = torch.tensor([0.0, 0, 0, 0, 9], device=device)
        model.second.decode_head.conv_seg.bias.data = bias
    maps = see(free, images)
    inside = torch.ones(2, 24, 40, dtype=torch.bool, device=device)
    inside[0, :, 30:] = False
    labels = torch.cat([s.gt_sem_seg.data for s in samples])
    unsure = inside & (labels == 255)
    every = F.cross_entropy(
        maps[0], torch.full_like(labels, 4), reduction='none'
    )
    expected = float((every * unsure).sum() / inside.sum())
    value = float(free.loss(images, samples)['decode.loss_cross'])
    assert value == pytest.approx(expected, rel=1e-4)
    value = float(limited.loss(images, samples)['decode.loss_cross'])
    assert value != pytest.approx(expected, rel=1e-2)


def test_no_gradient_through_what_is_given(device):
    """The cross terms of one network teach it alone."""
    model = build(device, mix=0.0)
    losses = model.loss(*make_batch(device))
    losses['decode.loss_cross'].backward()
    assert all(p.grad is None for p in model.second.parameters())
    grads = [p.grad for n, p in model.named_parameters() if 'second' not in n]
    assert all(g is not None and g.isfinite().all() for g in grads)
    assert any(g.abs().sum() > 0 for g in grads)


def test_mixed_batches(device, go_to, monkeypatch):
    """Later, batches are mixed; BatchNorm sees nothing of the predictions
    that this needs."""
    model = build(device, mix=1.0, mix_threshold=0.3)
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = None  # the mean of all that it sees
    images, samples = make_batch(device)
    go_to(0)
    assert not model._mixes(2)
    go_to(50)
    assert model._mixes(2)
    assert not model._mixes(1)
    seen = []

    def record(*args):
        seen.append(mix_classes(*args))
        return seen[-1]

    monkeypatch.setattr(
        'mmseg_weakclip.models.segmenters.cross_labels.mix_classes', record
    )
    losses = model.loss(images, samples)
    assert model.training
    assert model.decode_head.training
    (mixed,) = seen
    assert (mixed.images != images).any()
    labels = mixed.labels
    assert 4 not in labels  # no mask shows it
    norm = next(
        m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)
    )
    assert norm.num_batches_tracked == 1
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    unsure = ((labels == 255) & mixed.inside).sum() / mixed.inside.sum()
    assert float(losses['unsure']) == pytest.approx(
        float(100 * unsure), rel=1e-4
    )


def test_the_outline_weighs_more(device, go_to):
    go_to(50)
    images, samples = make_batch(device)
    found = []
    for weight in (0.0, 1.0):
        model = build(
            device, mix=1.0, mix_threshold=0.3, outline_weight=weight
        ).eval()
        torch.manual_seed(3)
        found.append(model.loss(images, samples)['decode.loss_sure'])
    assert found[1] > found[0]


def test_cross_labels_may_start_later(device, go_to):
    images, samples = make_batch(device)
    model = build(device, mix=0, cross_start=0.6).eval()
    whole = build(device, mix=0).eval().loss(images, samples)
    go_to(60)
    assert model.loss(images, samples) == whole
    go_to(59)
    before = model.loss(images, samples)
    for name in ('decode', 'second'):
        assert whole[f'{name}.loss_cross'] > 0
        assert before.pop(f'{name}.loss_cross') == 0
        del whole[f'{name}.loss_cross']
    assert before == whole


def test_the_prediction_is_the_mean(device):
    model = build(device).eval()
    images, samples = make_batch(device, height=17, width=31)
    metas = [dict(img_shape=(17, 31), ori_shape=(17, 31))] * 2
    with torch.no_grad():
        expected = torch.stack(see(model, images, (17, 31))).mean(0)
        found = model.encode_decode(images, metas)
        single = model.encode_decode(images[:1], metas[:1])
        assert torch.allclose(
            model(images, mode='tensor'),
            sum(n.decode_head(n.extract_feat(images))
                for n in (model, model.second)) / 2,
            atol=1e-6,
        )  # fmt: skip
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(found[:1], single, atol=1e-5)


def test_autocast(device):
    model = build(device, mix=0.0)
    with torch.autocast(device.type, torch.bfloat16):
        losses = model.loss(*make_batch(device))
    assert losses['decode.loss_sure'].dtype == torch.float32
    sum(v for k, v in losses.items() if 'loss' in k).backward()


def test_nothing_sure(device):
    """A batch that is all unsure teaches what the other says, and no NaN."""
    images, samples = make_batch(device)
    for sample in samples:
        sample.gt_sem_seg.data[:] = 255
    losses = build(device, mix=0.0).loss(images, samples)
    assert losses['decode.loss_sure'] == 0
    assert losses['decode.loss_cross'].isfinite()


def test_pretrained_weights_are_those_of_both_networks(repo):
    """mmseg writes `pretrained` into the config that the first is built of."""
    path = 'configs/segmenters/deeplabv3plus_r101_4xb4-53k_voc12-512x512_'
    config = Config.fromfile(f'{repo / path}beco-lite.py').model
    config.pretrained = 'weights.pth'
    with torch.device('meta'):
        model = MODELS.build(config)
    for network in (model, model.second):
        assert network.backbone.init_cfg['checkpoint'] == 'weights.pth'


def test_bad_arguments(device):
    with pytest.raises(ValueError, match='no place for an auxiliary head'):
        build(device, auxiliary_head=dict(type='FCNHead'))
    with pytest.raises(ValueError, match='mix_start=2'):
        build(device, mix_start=2)
    with pytest.raises(ValueError, match='cross_start=-1'):
        build(device, cross_start=-1)
