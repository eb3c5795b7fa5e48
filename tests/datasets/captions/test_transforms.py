import cv2
import numpy as np
import pytest
import torch
from mmseg.registry import MODELS, TRANSFORMS
from PIL import Image

from mmseg_weakclip.datasets.captions.transforms import (
    resize_nearest,
    resize_smoothly,
)
from mmseg_weakclip.models.samples import captions_of, stack_superpixels


def crop_of(**options):
    options = {'crop_size': (16, 24), **options}
    return TRANSFORMS.build(dict(type='RandomResizedCrop', **options))


def gradient(height, width):
    """An image whose first two channels tell each pixel's place."""
    rows, columns = np.mgrid[:height, :width]
    blue = np.full_like(rows, 7)
    return np.stack([rows, columns, blue], -1).astype(np.uint8)


def sample(height=40, width=60):
    image = gradient(height, width)
    ids = image[..., 0].astype(np.int32) * 1000 + image[..., 1]
    return dict(
        img=image,
        img_path='a.jpg',
        img_id='a',
        img_shape=(height, width),
        ori_shape=(height, width),
        caption='a cat',
        superpixels=ids,
        gt_seg_map=image[..., 1],
        seg_fields=['superpixels', 'gt_seg_map'],
    )


@pytest.mark.parametrize('size', [(3, 5), (7, 11), (21, 33), (20, 9)])
def test_resize_nearest_equals_pillow(size):
    """In sizes in which no centre falls between two pixels."""
    ids = np.arange(7 * 11, dtype=np.int32).reshape(7, 11)
    expected = Image.fromarray(ids).resize(size[::-1], Image.NEAREST)
    found = resize_nearest(ids, size)
    assert found.dtype == np.int32
    assert np.array_equal(found, np.asarray(expected))


def test_crop_keeps_everything_aligned():
    transform = crop_of(scale=(0.2, 0.9), interpolation='nearest')
    for _ in range(20):
        results = transform(sample())
        assert results['img'].shape == (16, 24, 3)
        assert results['img_shape'] == (16, 24)
        rows, columns = np.moveaxis(results['img'][..., :2], -1, 0).astype(int)
        ids = results['superpixels']
        assert (ids.dtype, ids.shape) == (np.int32, (16, 24))
        # Between two pixels Pillow takes either.
        assert np.abs(ids // 1000 - rows).max() <= 1
        assert np.abs(ids % 1000 - columns).max() <= 1
        assert np.abs(ids % 1000 - columns).mean() < 0.2
        assert np.array_equal(results['gt_seg_map'], ids % 1000)


@pytest.mark.parametrize('shape', [(40, 60), (60, 40), (31, 50)])
def test_boxes_keep_to_scale_and_ratio(shape):
    transform = crop_of(scale=(0.3, 0.6), ratio=(0.5, 1.5))
    boxes = np.array([transform.draw_box(shape) for _ in range(400)])
    top, left, height, width = boxes.T
    assert min(top.min(), left.min()) == 0
    assert (top + height).max() == shape[0]
    assert (left + width).max() == shape[1]
    area = height * width / (shape[0] * shape[1])
    assert 0.28 < area.min() < 0.33
    assert 0.55 < area.max() < 0.62
    ratio = width / height
    assert 0.47 < ratio.min() < 0.6
    assert 1.3 < ratio.max() < 1.57


def test_ratios_are_even_on_a_logarithmic_scale():
    transform = crop_of(scale=(0.1, 0.2), ratio=(0.25, 4.0))
    boxes = np.array([transform.draw_box((400, 400)) for _ in range(400)])
    wider = boxes[:, 3] > boxes[:, 2]
    assert 0.4 < wider.mean() < 0.6


def test_box_where_no_attempt_fits():
    # A strip holds no part of 90 % that is nearly square.
    transform = crop_of(scale=(0.9, 1.0))
    assert transform.draw_box((10, 100)) == (0, 43, 10, 13)
    assert transform.draw_box((100, 10)) == (43, 0, 13, 10)


def test_whole_image():
    transform = crop_of(crop_size=(20, 30), scale=(1.0, 1.0), ratio=(1.5, 1.5))
    results = transform(sample())
    image = Image.fromarray(gradient(40, 60)).resize((30, 20), Image.BICUBIC)
    assert np.abs(results['img'] - np.asarray(image, int)).max() <= 1


@pytest.mark.parametrize('flipped', [False, True])
@pytest.mark.parametrize('size', [(7, 9), (40, 24), (90, 130)])
@pytest.mark.parametrize(
    'interpolation', ['nearest', 'bilinear', 'bicubic', 'box', 'lanczos']
)
def test_resized_as_by_pillow(interpolation, size, flipped):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    if flipped:
        image = image[:, ::-1]
    found = resize_smoothly(image, size, interpolation)
    rule = getattr(Image.Resampling, interpolation.upper())
    expected = Image.fromarray(image).resize(size[::-1], rule)
    away = np.abs(found - np.asarray(expected, int))
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert away.max() <= 2
    assert (away > 1).mean() < 0.01


def test_shrinking_smooths():
    image = np.zeros((64, 64, 3), np.uint8)
    image[::4] = image[1::4] = 255
    results = dict(sample(), img=image, seg_fields=[])
    whole = dict(scale=(1.0, 1.0), ratio=(1.0, 1.0), crop_size=(16, 16))
    assert np.abs(crop_of(**whole)(results)['img'] - 127.5).max() < 40


def test_crop_depends_on_numpys_generator():
    transform = crop_of()
    drawn = []
    for seed in (0, 0, 1):
        np.random.seed(seed)  # noqa: NPY002
        drawn.append(transform(sample())['img'])
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    'options',
    [
        dict(scale=(0.9, 0.5)),
        dict(scale=(0.0, 1.0)),
        dict(scale=(0.5, 1.5)),
        dict(ratio=(2.0, 1.0)),
        dict(crop_size=(0, 16)),
    ],
)
def test_bad_ranges(options):
    (name,) = options
    with pytest.raises(ValueError, match=f'RandomResizedCrop.*{name}'):
        crop_of(**options)


def test_crop_of_what_is_not_aligned():
    results = sample()
    results['superpixels'] = results['superpixels'][:-1]
    with pytest.raises(ValueError, match=r'superpixels of a\.jpg is \(39, 60'):
        crop_of()(results)


def pack(results):
    return TRANSFORMS.build(dict(type='PackCaptionInputs'))(results)


def test_pack():
    results = sample()
    packed = pack(results)
    assert torch.equal(
        packed['inputs'], torch.from_numpy(results['img']).permute(2, 0, 1)
    )
    found = packed['data_samples']
    assert (found.caption, found.img_id) == ('a cat', 'a')
    ids = found.superpixels.data
    assert (ids.dtype, ids.shape) == (torch.int64, (1, 40, 60))
    assert torch.equal(ids[0], torch.from_numpy(results['superpixels']).long())
    del results['superpixels']
    assert 'superpixels' not in pack(results)['data_samples']


@pytest.mark.parametrize('caption', [None, '', ' \n', 3])
def test_pack_needs_a_caption(caption):
    with pytest.raises(ValueError, match=r'a\.jpg comes with the caption'):
        pack(dict(sample(), caption=caption))


@pytest.mark.parametrize(
    'config',
    [
        dict(type='Resize', scale=(33, 21)),
        dict(type='RandomResize', scale=(33, 33), ratio_range=(0.5, 2.0),
             keep_ratio=True),
        dict(type='RandomCrop', crop_size=(16, 24), cat_max_ratio=1.0),
        dict(type='RandomFlip', prob=1.0),
        dict(type='RandomFlip', prob=1.0, direction='vertical'),
        dict(type='RandomResizedCrop', crop_size=(48, 72)),
    ],
    ids=lambda config: config['type'],
)  # fmt: skip
def test_stock_transforms_keep_superpixels_aligned(config):
    results = sample()
    # Blocks that are far apart in number and colour.
    blocks = np.kron(np.arange(6).reshape(2, 3), np.ones((20, 20), int))
    results['superpixels'] = (blocks * 100_000).astype(np.int32)
    results['img'] = np.repeat(blocks[..., None] * 50, 3, -1).astype(np.uint8)
    results = TRANSFORMS.build(config)(results)
    ids = pack(results)['data_samples'].superpixels.data[0].numpy()
    assert ids.shape == results['img'].shape[:2]
    assert set(np.unique(ids)) <= {i * 100_000 for i in range(6)}
    shown = results['img'][..., 0] // 25 * 25
    inner = cv2.erode(
        (np.abs(cv2.Laplacian(results['img'][..., 0], cv2.CV_64F)) < 1).astype(
            np.uint8
        ),
        np.ones((5, 5), np.uint8),
    ).astype(bool)
    assert inner.mean() > 0.2
    assert np.array_equal(ids[inner] // 100_000 * 50, shown[inner])


def test_padding_of_the_image_alone_is_an_error():
    results = TRANSFORMS.build(dict(type='Pad', size=(70, 70)))(sample())
    with pytest.raises(
        ValueError, match=r'a\.jpg are \(40, 60\), but the image is \(70, 70'
    ):
        pack(results)


def batch(*sizes):
    packed = [pack(sample(*size)) for size in sizes]
    return {
        key: [part[key] for part in packed]
        for key in ('inputs', 'data_samples')
    }


def preprocess(kind, data, device, training=True):
    model = MODELS.build(
        dict(type=kind, mean=[0.0] * 3, std=[255.0] * 3, size=(48, 64))
    ).to(device)
    return model(data, training=training)


def test_batch_of_superpixels(device):
    data = batch((48, 64), (40, 60))
    before = [s.superpixels.data[0].clone() for s in data['data_samples']]
    samples = preprocess('WeakSegDataPreProcessor', data, device)[
        'data_samples'
    ]
    ids = stack_superpixels(samples)
    assert (ids.shape, ids.dtype) == ((2, 48, 64), torch.int64)
    assert ids.device.type == device.type
    ids = ids.cpu()
    assert torch.equal(ids[0], before[0])
    assert torch.equal(ids[1, :40, :60], before[1])
    assert (ids[1, 40:] == -1).all()
    assert (ids[1, :, 60:] == -1).all()
    assert captions_of(samples) == ['a cat', 'a cat']


def test_unequal_superpixels_name_the_remedy(device):
    data = batch((48, 64), (40, 60))
    samples = preprocess('SegDataPreProcessor', data, device)['data_samples']
    with pytest.raises(
        ValueError, match=r'\(40, 60\), \(48, 64\).*WeakSegDataPreProcessor'
    ):
        stack_superpixels(samples)
    equal = batch((48, 64), (48, 64))
    samples = preprocess('SegDataPreProcessor', equal, device)['data_samples']
    assert stack_superpixels(samples).shape == (2, 48, 64)


def test_samples_without_them():
    bare = pack(sample())['data_samples']
    del bare.superpixels
    with pytest.raises(ValueError, match=r'a\.jpg comes without superpixels'):
        stack_superpixels([bare])
    bare.set_metainfo(dict(img_path='a.jpg'))
    del bare.caption
    with pytest.raises(ValueError, match=r'a\.jpg comes without a caption'):
        captions_of([bare])
