import pytest
import torch

from mmseg_weakclip.models.clip.vit import CLIPViT

TEXT = dict(
    type='TemplateText',
    model='toyclip',
    pretrained=None,
    names=('boat', 'car', 'bird'),
    background_words=('sky', 'road'),
)


@pytest.fixture
def text_cfg():
    return TEXT


@pytest.fixture
def make_features(device):
    """Output of a CLIPViT on random images, seeded."""

    def make(batch=2, size=(40, 56), **kwargs):
        torch.manual_seed(0)
        vit = CLIPViT('toyclip', None, with_tokens=True, **kwargs)
        return vit.to(device).eval()(torch.randn(batch, 3, *size).to(device))

    return make


@pytest.fixture
def make_metas():
    """Metas of a batch with these image labels (background is 0)."""

    def make(*labels, size=(40, 56)):
        return [
            dict(img_path=f'{i}.jpg', img_shape=size, image_labels=own)
            for i, own in enumerate(labels)
        ]

    return make
