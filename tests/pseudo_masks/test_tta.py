import pytest
import torch
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
