import pytest
import torch
from live_memory import LiveMemory
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_weakclip.models.cam.classifier import CAMHead
from mmseg_weakclip.pseudo_masks.tta import CAMTTAModel, RunningTTAModel


class Echo(nn.Module):
    """A segmentor whose logits are its input."""

    def test_step(self, data):
        samples = []
        for logits, sample in zip(data['inputs'], data['data_samples']):
            sample.set_data(
                dict(
                    seg_logits=PixelData(data=logits),
                    pred_sem_seg=PixelData(data=logits.argmax(0)[None]),
                )
            )
            samples.append(sample)
        return samples


def make_data(views, device):
    return dict(
        inputs=views,
        data_samples=[
            [
                SegDataSample(metainfo=dict(img_path=f'{i}.jpg'))
                for i in range(len(view))
            ]
            for view in views
        ],
    )


@pytest.mark.parametrize('activation', ['softmax', 'none'])
def test_average_of_views(device, activation):
    views = [torch.randn(2, 4, 5, 6, device=device) for _ in range(3)]
    samples = RunningTTAModel(Echo(), activation=activation).test_step(
        make_data(views, device)
    )
    scores = torch.stack(views)
    if activation == 'softmax':
        scores = scores.softmax(2)
    expected = scores.mean(0)
    for index, sample in enumerate(samples):
        assert sample.img_path == f'{index}.jpg'
        assert torch.allclose(
            sample.seg_scores.data, expected[index], atol=1e-6
        )
        prediction = sample.pred_sem_seg.data
        assert torch.equal(prediction[0], expected[index].argmax(0))
        assert 'seg_logits' not in sample
    # The inputs were not used as the running sum.
    assert torch.equal(views[0], make_data(views, device)['inputs'][0])


class Maps(Echo):
    """A segmentor with a CAM head; its maps are its input."""

    def __init__(self):
        super().__init__()
        self.decode_head = CAMHead(3, 2, background=dict(threshold=0.25))


def test_maps_are_summed_before_they_are_scaled(device):
    views = [torch.rand(2, 3, 5, 6, device=device) for _ in range(3)]
    model = CAMTTAModel(Maps())
    assert model.module.decode_head.predicts == 'maps'
    samples = model.test_step(make_data(views, device))
    total = sum(views)[:, 1:]
    for index, sample in enumerate(samples):
        scores = sample.seg_scores.data
        assert (scores[0] == 0.25).all()
        for label in range(2):
            expected = total[index, label] / total[index, label].max()
            assert torch.allclose(scores[1 + label], expected, atol=1e-6)
        prediction = sample.pred_sem_seg.data
        assert torch.equal(prediction[0], scores.argmax(0))


def test_maps_need_a_cam_head():
    model = Maps()
    model.decode_head = nn.Identity()
    with pytest.raises(TypeError, match='decode head is a Identity'):
        CAMTTAModel(model)


class Resizing(nn.Module):
    """A network whose logits are its image, resized as mmseg does it."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def test_step(self, data):
        self.batches.append(len(data['inputs']))
        samples = []
        for image, sample in zip(data['inputs'], data['data_samples']):
            logits = image.flip(-1) if sample.get('flip') else image
            logits = nn.functional.interpolate(
                logits[None], tuple(sample.ori_shape), mode='bilinear'
            )[0]
            sample = sample.clone()
            sample.set_data(
                dict(
                    seg_logits=PixelData(data=logits),
                    pred_sem_seg=PixelData(data=logits.argmax(0)[None]),
                )
            )
            samples.append(sample)
        return samples


def scaled_and_flipped(images, sides, size=(20, 30)):
    """Views of several sizes, each plain and flipped, as TestTimeAug's."""
    inputs, samples = [], []
    for side in sides:
        for flip in (False, True):
            view = nn.functional.interpolate(images, side)
            inputs.append(list(view.flip(-1) if flip else view))
            metas = [
                dict(img_path=f'{i}.jpg', ori_shape=size, flip=flip)
                for i in range(len(images))
            ]
            samples.append([SegDataSample(metainfo=meta) for meta in metas])
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.parametrize('average_scale', [1.0, 0.5])
@pytest.mark.parametrize('images', [1, 2])
def test_flips_go_together(images, average_scale, device):
    torch.manual_seed(0)
    colors = torch.randn(images, 4, 12, 18, device=device)
    sides = [(12, 18), (24, 36), (6, 9)]
    options = dict(average_scale=average_scale)
    # The second size has too many pixels for two.
    largest = 2 * images * 20 * 30
    together = RunningTTAModel(Resizing(), batch_pixels=largest, **options)
    alone = RunningTTAModel(Resizing(), batch_pixels=0, **options)
    found, expected = (
        model.test_step(scaled_and_flipped(colors, sides))
        for model in (together, alone)
    )
    assert alone.module.batches == [images] * 6
    assert together.module.batches == [
        count * images for count in (2, 1, 1, 2)
    ]
    for one, other in zip(found, expected, strict=True):
        assert one.img_path == other.img_path
        assert one.seg_scores.data.shape == (4, 20, 30)
        assert torch.allclose(
            one.seg_scores.data, other.seg_scores.data, atol=1e-6
        )


class TrueSizes(Resizing):
    """A segmentor that notes the true size of each image."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def test_step(self, data):
        self.sizes += [s.true_shape for s in data['data_samples']]
        return super().test_step(data)


def test_the_true_size_is_kept():
    """Regions go by the image itself, whatever the size of the average."""
    data = scaled_and_flipped(torch.randn(1, 4, 12, 18), [(12, 18)])
    size = data['data_samples'][0][0].ori_shape
    model = RunningTTAModel(TrueSizes(), average_scale=0.5)
    (sample,) = model.test_step(data)
    assert model.module.sizes == [size] * 2
    assert sample.ori_shape == size


def test_scores_are_added_in_parts(monkeypatch):
    colors = torch.randn(1, 4, 12, 18)
    data = scaled_and_flipped(colors, [(12, 18)])
    (whole,) = RunningTTAModel(Resizing()).test_step(data)
    monkeypatch.setattr('mmseg_weakclip.pseudo_masks.tta.NUMBERS_AT_ONCE', 250)
    (parts,) = RunningTTAModel(Resizing()).test_step(data)
    assert torch.allclose(
        whole.seg_scores.data, parts.seg_scores.data, atol=1e-6
    )


def test_memory_is_two_maps_of_scores(monkeypatch):
    """81 classes, 12 views: the sum, one view, and little besides."""
    size, classes = (60, 80), 81
    one_map = 4 * classes * size[0] * size[1]
    # As for an image of 12 million pixels, in proportion.
    monkeypatch.setattr(
        'mmseg_weakclip.pseudo_masks.tta.NUMBERS_AT_ONCE', one_map // 4 // 15
    )
    images = torch.randn(1, classes, 8, 10)
    sides = [(8 + i, 10 + i) for i in range(6)]
    data = scaled_and_flipped(images, sides, size)
    model = RunningTTAModel(Resizing(), batch_pixels=0)
    with LiveMemory() as memory, torch.no_grad():
        (sample,) = model.test_step(data)
    assert sample.seg_scores.data.shape == (classes, *size)
    assert 2 * one_map < memory.peak < 2.3 * one_map


def test_no_view_is_left_when_the_next_comes():
    class Looking(Resizing):
        """Notes how many bytes live when a view comes."""

        def test_step(self, data):
            before.append(memory.now)
            return super().test_step(data)

    before = []
    sides = [(8, 10), (9, 11), (10, 12)]
    data = scaled_and_flipped(torch.randn(1, 5, 8, 10), sides)
    model = RunningTTAModel(Looking(), batch_pixels=0)
    with LiveMemory() as memory, torch.no_grad():
        model.test_step(data)
    one_map = 4 * 5 * 20 * 30
    assert len(before) == 6
    # The sum alone.
    assert before[0] == 0
    assert all(one_map <= now < 1.2 * one_map for now in before[1:])
