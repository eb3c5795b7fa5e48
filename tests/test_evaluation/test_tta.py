import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_weakclip.evaluation import RunningTTAModel


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
