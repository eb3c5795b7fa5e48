import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

CLIP = dict(model='toyclip', pretrained='toyland')
NAMES = ('boat', 'car', 'bird')


@pytest.fixture
def clip():
    return dict(CLIP)


@pytest.fixture
def text_cfg():
    return dict(type='TemplateText', **CLIP, names=NAMES)


@pytest.fixture
def make_images(device):
    """RGB images, not square, uint8, (B, 3, 40, 56)."""

    def make(batch=2):
        torch.manual_seed(2)
        images = torch.randint(0, 256, (batch, 3, 40, 56))
        return images.to(device, torch.uint8)

    return make


@pytest.fixture
def make_samples(make_images):
    """Samples with these image labels (the background is 0), no truth."""

    def make(*labels):
        samples = []
        for index, (own, image) in enumerate(
            zip(labels, make_images(len(labels)))
        ):
            sample = SegDataSample(
                metainfo=dict(
                    img_path=f'{index}.jpg',
                    image_labels=own,
                    img_shape=(40, 56),
                )
            )
            sample.img = PixelData(data=image)
            samples.append(sample)
        return samples

    return make
