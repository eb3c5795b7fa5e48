"""A world of planted embeddings: every thing has an axis of its own."""

import json
import re
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

CLIP = dict(model='toyclip', pretrained='toyland')
NAMES = ('boat', 'car', 'bird')
THINGS = (
    'boat', 'car', 'water', 'road', 'sail', 'haze', 'sky', 'moon',
)  # fmt: skip
# Every embedding of this CLIP has much of one direction.
SHARED = 0.5


def embed(words, length=3.0):
    """The axes of the things among some words, with what all have in common.

    One more axis takes what is missing of a length.
    """
    own = [float(thing in words) for thing in THINGS] + [SHARED]
    missing = max(length**2 - sum(x * x for x in own), 0)
    return torch.tensor([*own, missing**0.5])


class PlantedTexts:
    """Stands for CLIP's text tower: a text is the sum of its things."""

    def __init__(self, device):
        self.device = device
        self.texts: list[str] = []

    def __call__(self, texts):
        self.texts += texts
        rows = [
            F.normalize(embed(re.findall('[a-z]+', t), 0), dim=-1)
            for t in texts
        ]
        return torch.stack(rows).to(self.device)


@pytest.fixture
def planted(device):
    """20 images of boats, 20 of cars, 10 of both and 50 of neither.

    Three in four boats have water; one in four cars does. Roads the other
    way round. Every boat has a sail, every image has haze, no image a moon.
    Sky comes by chance. Each image has a view of all and one without boats
    and cars.
    """
    generator = torch.Generator().manual_seed(0)
    ids, labels, scenes, views = [], [], [], []
    for n in range(100):
        scene = {'haze'}
        if n < 20 or 40 <= n < 50:
            scene |= {'boat', 'sail', 'water' if n % 4 else 'road'}
        if 20 <= n < 50:
            scene |= {'car', 'road' if n % 4 else 'water'}
        if torch.rand((), generator=generator) < 0.3:
            scene.add('sky')
        ids.append(f'image_{n}')
        scenes.append(scene)
        labels.append([name in scene for name in ('boat', 'car')])
        views.append(
            torch.stack([embed(scene), embed(scene - {'boat', 'car'})])
        )
    views = torch.stack(views)
    views += 0.02 * torch.randn(views.shape, generator=generator)
    return SimpleNamespace(
        image_ids=ids,
        scenes=dict(zip(ids, scenes)),
        arguments=(
            ids,
            views.to(device),
            torch.tensor(labels, device=device),
            ('boat', 'car'),
            THINGS,
            PlantedTexts(device),
        ),
    )


@pytest.fixture
def write_cache(tmp_path):
    """A file of a cache, from what it is to hold."""

    def write(**changes):
        content = dict(
            format='mmseg_weakclip backgrounds 1',
            classes=['boat', 'car'],
            images={
                'a': {'boat': [['water', 1.5], ['sky', 1]], 'car': []},
                'b': {'car': [['road', 2.0], ['sand', 1], ['sky', 0.5]]},
                'c': {},
            },
        )
        content.update(changes)
        path = tmp_path / 'cache.json'
        path.write_text(json.dumps(content))
        return path

    return write


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
