import numpy as np
import pytest
from mmcv.transforms.utils import cache_random_params
from mmseg.registry import TRANSFORMS

from mmseg_weakclip.datasets.rescale import RandomRescale


def sample(height: int, width: int) -> dict:
    mask = np.arange(height * width).reshape(height, width) % 7
    return dict(
        img=np.full((height, width, 3), 128, np.uint8),
        img_shape=(height, width),
        gt_seg_map=mask.astype(np.uint8),
        seg_fields=['gt_seg_map'],
    )


@pytest.mark.parametrize('shape', [(30, 40), (500, 333), (7, 5)])
@pytest.mark.parametrize('ratio', [0.5, 1.0, 1.37, 2.0])
def test_sides_are_those_of_the_image_itself(shape, ratio):
    """Whatever the size of others, where RandomResize fits all into one."""
    results = RandomRescale((ratio, ratio))(sample(*shape))
    expected = tuple(round(ratio * side) for side in shape)
    assert results['img'].shape[:2] == expected
    assert results['img_shape'] == expected
    assert results['gt_seg_map'].shape == expected
    # Nearest, so no new ids.
    assert set(np.unique(results['gt_seg_map'])) <= set(range(7))
    for factor, new, old in zip(
        results['scale_factor'], expected[::-1], shape[::-1]
    ):
        assert factor == pytest.approx(new / old)


def test_factors_are_spread_over_the_range():
    np.random.seed(0)  # noqa: NPY002  (what the transforms of mmcv use)
    transform = TRANSFORMS.build(
        dict(type='RandomRescale', ratio_range=(0.5, 2.0))
    )
    sides = [transform(sample(100, 80))['img_shape'] for _ in range(300)]
    heights = np.array(sides)[:, 0] / 100
    assert heights.min() >= 0.5
    assert heights.max() <= 2
    counts, _ = np.histogram(heights, 3, (0.5, 2))
    assert (counts > 60).all()
    # Of one image, the same for all that ask.
    with cache_random_params(transform):
        assert transform.draw_ratio() == transform.draw_ratio()


def test_no_side_vanishes():
    assert RandomRescale((0.1, 0.1))(sample(3, 4))['img_shape'] == (1, 1)


@pytest.mark.parametrize('ratios', [(2, 0.5), (0, 1), (-1, 1)])
def test_range_is_checked(ratios):
    with pytest.raises(ValueError, match='two factors above 0'):
        RandomRescale(ratios)
