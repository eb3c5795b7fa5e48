import numpy as np
import pytest
from mmengine.dataset import DefaultSampler
from mmseg.registry import DATA_SAMPLERS
from PIL import Image

SIZES = [(6, 8), (8, 6), (6, 8), (5, 5), (6, 8), (8, 6), (6, 8)]


class Images(list):
    def get_data_info(self, index):
        return dict(img_path=self[index])


@pytest.fixture
def images(tmp_path):
    paths = Images()
    for index, size in enumerate(SIZES):
        paths.append(str(tmp_path / f'{index}.png'))
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(paths[-1])
    return paths


def build(images, batch_size=3, shuffle=False, **kwargs):
    return DATA_SAMPLERS.build(
        dict(type='SameSizeBatchSampler', **kwargs),
        default_args=dict(
            sampler=DefaultSampler(images, shuffle=shuffle),
            batch_size=batch_size,
        ),
    )


def test_batches_by_hand(images):
    # By height and width; the last image stays the last.
    batches = build(images)
    assert list(batches) == [[3], [0, 2, 4], [1, 5], [6]]
    assert len(batches) == 4
    assert list(batches) == list(batches)


def test_the_last_joins_its_like(images):
    assert list(build(Images(images[:6]))) == [[3], [0, 2, 4], [1, 5]]
    assert list(build(Images(images[:1]))) == [[0]]


def test_each_image_once(images):
    for batch_size in (1, 2, 8):
        batches = list(build(images, batch_size))
        assert sorted(sum(batches, [])) == list(range(7))
        assert max(map(len, batches)) <= batch_size
        for batch in batches:
            assert len({SIZES[index] for index in batch}) == 1


def test_trainings_are_refused(images):
    for options in (dict(shuffle=True), dict(drop_last=True)):
        with pytest.raises(ValueError, match='shuffle=False in the sampler'):
            build(images, **options)
