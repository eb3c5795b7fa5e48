import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from pretend_cuda import pretend_cuda

MEAN = [122.77, 116.75, 104.09]
STD = [68.5, 66.63, 70.32]


def build(device, **options):
    config = dict(
        type='WeakSegDataPreProcessor', mean=MEAN, std=STD, size=(20, 24)
    )
    return MODELS.build({**config, **options}).to(device)


def batch(*sizes, masks=True) -> dict:
    rng = np.random.default_rng(0)
    inputs, samples = [], []
    for height, width in sizes:
        image = rng.integers(0, 256, (3, height, width), np.uint8)
        inputs.append(torch.from_numpy(image))
        sample = SegDataSample(metainfo=dict(ori_shape=(height, width)))
        if masks:
            sample.gt_sem_seg = PixelData(
                data=torch.ones(1, height, width, dtype=torch.long)
            )
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.parametrize(
    'options',
    [
        dict(bgr_to_rgb=True),
        dict(bgr_to_rgb=False),
        dict(bgr_to_rgb=True, mean=[127.5] * 3, std=[127.5] * 3),
        dict(bgr_to_rgb=True, mean=[0.0] * 3, std=[1.0] * 3),
        dict(bgr_to_rgb=True, mean=None, std=None),
        dict(bgr_to_rgb=False, mean=[0.0] * 3, std=[255.0] * 3),
    ],
)
def test_image_comes_back_exactly(device, options):
    data = batch((20, 24), (13, 17))
    bgr = [image.clone() for image in data['inputs']]
    output = build(device, **options)(data, training=True)
    assert output['inputs'].shape == (2, 3, 20, 24)
    for sample, image in zip(output['data_samples'], bgr):
        shown = sample.img.data
        assert (shown.dtype, shown.shape) == (torch.uint8, (3, 20, 24))
        assert shown.device == output['inputs'].device
        _, height, width = image.shape
        rgb = image.flip(0).to(device)
        assert torch.equal(shown[:, :height, :width], rgb)


def test_rgb_pipelines(device):
    data = batch((20, 24))
    rgb = data['inputs'][0].clone()
    output = build(device, rgb_to_bgr=True)(data, training=True)
    assert torch.equal(output['data_samples'][0].img.data, rgb.to(device))


def test_padding_has_the_colour_that_the_network_sees(device):
    output = build(device, bgr_to_rgb=True)(batch((13, 17)), training=True)
    shown = output['data_samples'][0].img.data
    for part in (shown[:, 13:], shown[:, :, 17:]):
        colors = part.flatten(1).unique(dim=1)
        assert colors.squeeze(1).tolist() == [123, 117, 104]
    # A pad value that normalises beyond black is still a colour.
    dark = build(device, bgr_to_rgb=True, pad_val=-100)
    output = dark(batch((13, 17)), training=True)
    assert (output['data_samples'][0].img.data[:, 13:] == 0).all()


def test_padding_of_bgr_networks_is_in_their_order(device):
    output = build(device, bgr_to_rgb=False)(batch((13, 17)), training=True)
    shown = output['data_samples'][0].img.data
    assert shown[:, -1, -1].tolist() == [104, 117, 123]


def test_nothing_else_changes(device):
    config = dict(size=(20, 24), bgr_to_rgb=True)
    ours = build(device, **config)(batch((13, 17)), training=True)
    stock = MODELS.build(
        dict(type='SegDataPreProcessor', mean=MEAN, std=STD, **config)
    ).to(device)
    stocks = stock(batch((13, 17)), training=True)
    assert torch.equal(ours['inputs'], stocks['inputs'])
    mine, theirs = ours['data_samples'][0], stocks['data_samples'][0]
    assert set(mine.keys()) - set(theirs.keys()) == {'img'}
    assert mine.metainfo == theirs.metainfo
    assert torch.equal(mine.gt_sem_seg.data, theirs.gt_sem_seg.data)


def test_samples_without_masks(device):
    data = batch((13, 17), masks=False)
    output = build(device, bgr_to_rgb=True)(data, training=True)
    assert output['data_samples'][0].img.data.shape == (3, 20, 24)


def test_no_image_at_test_time(device):
    output = build(device, bgr_to_rgb=True)(batch((20, 24)), training=False)
    assert 'img' not in output['data_samples'][0]


def test_images_need_three_channels(device):
    data = batch((20, 24))
    data['inputs'] = [image[:1] for image in data['inputs']]
    model = build(device, mean=[1.0], std=[1.0])
    with pytest.raises(ValueError, match='1 channels'):
        model(data, training=True)


def test_float_images_have_the_exact_mean_colour(device):
    """Normalised again, padding is 0 to the last bit, and pixels are back."""
    data = batch((13, 17))
    bgr = data['inputs'][0].clone()
    model = build(device, bgr_to_rgb=True, image_dtype='float32')
    output = model(data, training=True)
    shown = output['data_samples'][0].img.data
    assert shown.dtype == torch.float32
    assert (output['inputs'][0, :, 13:] == 0).all()
    again = (shown - model.mean) / model.std
    assert (again[:, 13:] == 0).all()
    assert (again[:, :, 17:] == 0).all()
    rgb = bgr.flip(0).to(shown)
    assert torch.allclose(shown[:, :13, :17], rgb, atol=1e-4)
    # The bytes are up to half a level off: .5 / 57 at ImageNet's deviation.
    rounded = build(device, bgr_to_rgb=True)(batch((13, 17)), training=True)
    off = (rounded['data_samples'][0].img.data - shown)[:, 13:].abs().max()
    assert 0.2 < off < 0.5


def test_types_of_images_are_named():
    with pytest.raises(ValueError, match="image_dtype='half'"):
        build('cpu', image_dtype='half')


def test_batches_go_to_the_device_without_a_wait():
    """One copy of each tensor; channels change places on the device."""
    with pretend_cuda() as events:
        module = build('cuda', bgr_to_rgb=True)
        data = batch((20, 24), (13, 17))
        images = [image.clone() for image in data['inputs']]
        for index, sample in enumerate(data['data_samples']):
            ids = torch.full((1, *images[index].shape[1:]), index)
            sample.set_data(dict(superpixels=PixelData(data=ids)))
        events.clear()
        output = module(data, training=True)
        # An image, a mask and superpixels, twice.
        assert events.uploads.total() == 6
        assert not events.waits
    for sample, image in zip(output['data_samples'], images):
        height, width = image.shape[1:]
        assert sample.img.data.is_cuda
        seen = sample.img.data.cpu()[:, :height, :width]
        assert torch.equal(seen, image.flip(0))
        assert sample.ori_shape == (height, width)
        assert sample.gt_sem_seg.data.shape == (1, 20, 24)
        assert sample.superpixels.data.is_cuda
