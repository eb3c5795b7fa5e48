"""Unusual image files through the test pipelines of whole configs."""

import re

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

SEGMENTER = 'weakclip_voc.py'
SEEDS = 'seeds/grad-cam_vit-b16_voc12.py'


@pytest.fixture(params=[SEGMENTER, SEEDS])
def dataset(request, load_small):
    cfg = load_small(request.param)
    return DATASETS.build(cfg.test_dataloader.dataset)


@pytest.fixture
def path(dataset, data):
    """File of the first image."""
    return data.parent / dataset.get_data_info(0)['img_path']


def load(dataset):
    """The first image as the pipeline hands it to the model, (H, W, BGR)."""
    return dataset[0]['inputs'].permute(1, 2, 0).numpy()


def save_png(image, path):
    # The name stays .jpg: what a file is stands in its first bytes.
    image.save(path, format='PNG')


def test_grey(dataset, path):
    Image.open(path).convert('L').save(path)
    found = load(dataset).astype(int)
    save_png(Image.open(path).convert('RGB'), path)
    # Two decoders of JPEG may round differently.
    assert np.abs(found - load(dataset)).max() <= 2
    assert np.array_equal(found[..., 0], found[..., 2])


def test_alpha_is_dropped(dataset, path):
    image = Image.open(path)
    save_png(image.convert('RGB'), path)
    expected = load(dataset)
    image.putalpha(77)
    save_png(image, path)
    assert np.array_equal(load(dataset), expected)


def test_cmyk(dataset, path):
    expected = load(dataset).astype(int)
    image = Image.open(path).convert('CMYK')
    image.save(path, quality=100, subsampling=0)
    found = load(dataset).astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 4
    # Red for blue, or a negative, would be far off.
    assert np.abs(found[..., ::-1] - expected).mean() > 10
    assert np.abs(255 - found - expected).mean() > 10


def test_damaged(dataset, path):
    """Cut in the middle of its header."""
    path.write_bytes(path.read_bytes()[:100])
    message = re.escape(dataset.get_data_info(0)['img_path'])
    with pytest.raises((ValueError, AssertionError), match=message):
        dataset[0]


@pytest.mark.parametrize('dataset', [SEEDS], indirect=True)
@pytest.mark.parametrize('share', [0.3, 0.9])
def test_cut_off(dataset, path, share):
    """Of the pixels, some are there. With the stock loader it depends on the
    release of OpenCV whether that is an error."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf'{path.name} is .*(cut|damaged)'):
        dataset[0]
