import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_weakclip.models.clip.vit import CLIPViT

TEXT = dict(
    type='TemplateText',
    model='toyclip',
    pretrained='toyland',
    names=('boat', 'car', 'bird'),
    background_words=('sky', 'road'),
)


@pytest.fixture(scope='session')
def text_cfg():
    return TEXT


@pytest.fixture
def make_features(device):
    """What ``CLIPViT`` hands to a head, for images that are not square."""

    def make(batch=2, size=(40, 56), **kwargs):
        options = dict(
            pretrained='toyland',
            dense='excel',
            hidden_states=True,
            attention_layers=3,
            with_tokens=True,
        )
        torch.manual_seed(0)
        vit = CLIPViT('toyclip', **{**options, **kwargs}).to(device).eval()
        images = torch.randn(batch, 3, *size, device=device)
        return vit(images)

    return make


@pytest.fixture
def make_samples(device):
    """Samples with these image labels (the background is 0), no truth."""

    def make(*labels, size=(40, 56), img_shape=None):
        torch.manual_seed(2)
        samples = []
        for index, own in enumerate(labels):
            sample = SegDataSample(
                metainfo=dict(
                    img_path=f'{index}.jpg',
                    image_labels=own,
                    img_shape=img_shape or size,
                )
            )
            image = torch.randint(0, 256, (3, *size), device=device)
            sample.img = PixelData(data=image.to(torch.uint8))
            samples.append(sample)
        return samples

    return make
