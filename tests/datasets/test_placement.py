import numpy as np
import pytest
from mmcv.transforms.utils import cache_random_params
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import MODELS, TRANSFORMS

from mmseg_weakclip.datasets.placement import RandomPlacement

MEAN = [123.675, 116.28, 103.53]
STD = [58.395, 57.12, 57.375]


def sample(height: int, width: int) -> dict:
    """Return an image whose pixels tell their place, with two fields."""
    rng = np.random.default_rng(0)
    ids = np.arange(height * width).reshape(height, width)
    return dict(
        img=rng.integers(1, 256, (height, width, 3), dtype=np.uint8),
        img_shape=(height, width),
        gt_seg_map=(ids % 7).astype(np.uint8),
        superpixels=ids.astype(np.int32),
        seg_fields=['gt_seg_map', 'superpixels'],
    )


def placed(size, shape, offsets, **options) -> dict:
    transform = RandomPlacement(size, **options)
    transform.draw_offsets = lambda shape: offsets
    return transform(sample(*shape))


def test_a_small_image_lies_at_its_offset():
    results = placed((6, 9), (3, 4), (2, 5), pad_value=(1, 2, 3))
    old = sample(3, 4)
    inside = np.s_[2:5, 5:9]
    for key in ('img', 'gt_seg_map', 'superpixels'):
        assert results[key].dtype == old[key].dtype
        assert (results[key][inside] == old[key]).all()
    outside = np.ones((6, 9), bool)
    outside[inside] = False
    assert (results['img'][outside] == [1, 2, 3]).all()
    assert (results['gt_seg_map'][outside] == 255).all()
    assert (results['superpixels'][outside] == -1).all()
    assert results['img_shape'] == results['pad_shape'] == (6, 9)


def test_a_large_image_is_cut():
    results = placed((4, 5), (9, 11), (-3, -6))
    old = sample(9, 11)
    for key in ('img', 'gt_seg_map', 'superpixels'):
        assert (results[key] == old[key][3:7, 6:11]).all()


def test_each_axis_by_itself():
    results = placed((4, 8), (9, 5), (-5, 3), seg_pad_value=0)
    old = sample(9, 5)
    assert (results['img'][:, 3:] == old['img'][5:]).all()
    assert (results['img'][:, :3] == 0).all()
    assert (results['gt_seg_map'][:, 3:] == old['gt_seg_map'][5:]).all()
    assert (results['gt_seg_map'][:, :3] == 0).all()


def test_an_image_of_the_size_stays():
    results = RandomPlacement((5, 7))(sample(5, 7))
    assert (results['img'] == sample(5, 7)['img']).all()


@pytest.mark.parametrize(
    ('shape', 'rows', 'columns'),
    [
        ((2, 3), {0, 1, 2, 3}, {0, 1, 2}),
        ((8, 7), {0, -1, -2, -3}, {0, -1, -2}),
        ((5, 9), {0}, {0, -1, -2, -3, -4}),
    ],
)
def test_every_offset_is_equally_likely(shape, rows, columns):
    np.random.seed(0)  # noqa: NPY002
    transform = RandomPlacement((5, 5))
    drawn = [transform.draw_offsets(shape) for _ in range(2000)]
    for axis, wanted in enumerate((rows, columns)):
        values, counts = np.unique([d[axis] for d in drawn], return_counts=1)
        assert set(values.tolist()) == wanted
        assert counts.min() > 0.8 * 2000 / len(wanted)


def test_seeded_and_cached():
    transform = RandomPlacement((9, 9))
    np.random.seed(3)  # noqa: NPY002
    first = transform(sample(4, 5))['img']
    np.random.seed(3)  # noqa: NPY002
    assert (transform(sample(4, 5))['img'] == first).all()
    wide = RandomPlacement((500, 500))
    with cache_random_params(wide):
        images = [wide(sample(4, 5))['img'] for _ in range(3)]
    assert all((image == images[0]).all() for image in images)


def test_the_mean_colour_normalises_to_exactly_zero():
    """The pipeline's BGR; the network's RGB; losses see exact zeros too."""
    transform = TRANSFORMS.build(
        dict(type='RandomPlacement', size=(9, 8), pad_value=MEAN[::-1])
    )
    transform.draw_offsets = lambda shape: (4, 2)
    results = transform(sample(5, 4))
    assert results['img'].dtype == np.float32
    packed = PackSegInputs()(results)
    model = MODELS.build(
        dict(
            type='WeakSegDataPreProcessor',
            mean=MEAN,
            std=STD,
            bgr_to_rgb=True,
            size=(9, 8),
        )
    )
    data = {key: [value] for key, value in packed.items()}
    output = model(data, training=True)
    inputs = output['inputs'][0].clone()
    inputs[:, 4:, 2:6] = 0
    assert (inputs == 0).all()
    assert output['data_samples'][0].metainfo['img_shape'] == (9, 8)


def test_black_before_normalisation_stays_bytes():
    results = placed((6, 6), (3, 3), (0, 0), pad_value=[0, 0, 0])
    assert results['img'].dtype == np.uint8


def test_errors():
    with pytest.raises(ValueError, match=r'size.*\(0, 4\)'):
        RandomPlacement((0, 4))
    bad = sample(3, 4)
    bad['gt_seg_map'] = bad['gt_seg_map'][:2]
    with pytest.raises(ValueError, match=r'gt_seg_map.*\(2, 4\).*\(3, 4\)'):
        RandomPlacement((5, 5))(bad)
    with pytest.raises(ValueError, match='3 channels'):
        RandomPlacement((5, 5), pad_value=(1, 2))(sample(3, 4))
