"""The four numbers of a network: views, averages, CRF, areas."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import METRICS, MODELS, TRANSFORMS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_weakclip.engine.protocol import ProtocolMetric, use_protocol
from mmseg_weakclip.models.refine.dense_crf import dense_crf

CLASSES = ('background', 'a', 'b')
HEIGHT, WIDTH = 20, 29


@pytest.fixture
def image(tmp_path):
    """An image that is not square."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), pixels)
    return path, pixels


def metric(**options) -> ProtocolMetric:
    made = METRICS.build(dict(type='ProtocolMetric', **options))
    made.dataset_meta = dict(classes=CLASSES)
    return made


def make_sample(path, truth, seed=0, **more) -> dict:
    torch.manual_seed(seed)
    sample = SegDataSample(metainfo=dict(img_path=str(path)))
    data = dict(
        seg_logits=torch.randn(3, HEIGHT, WIDTH),
        seg_scores=torch.randn(3, HEIGHT, WIDTH).softmax(0),
        gt_sem_seg=truth,
    )
    for name, value in {**data, **more}.items():
        if value is not None:
            sample.set_data({name: PixelData(data=value)})
    return sample.to_dict()


def naive_miou(pairs) -> float:
    """From one confusion matrix over all images, 255 left out."""
    matrix = np.zeros((3, 3))
    for prediction, truth in pairs:
        for p, t in zip(prediction.flatten(), truth.flatten()):
            if t != 255:
                matrix[t, p] += 1
    ious = [
        matrix[k, k] / (matrix[k].sum() + matrix[:, k].sum() - matrix[k, k])
        for k in range(3)
    ]
    return 100 * float(np.mean(ious))


@pytest.fixture
def truths():
    generator = torch.Generator().manual_seed(3)
    masks = [
        torch.randint(0, 3, (1, HEIGHT, WIDTH), generator=generator)
        for _ in range(2)
    ]
    masks[0][:, :5] = 255
    return masks


@pytest.mark.parametrize('fused', ['logits', 'probabilities'])
def test_four_numbers(image, truths, fused):
    path, pixels = image
    samples = [make_sample(path, t, seed=i) for i, t in enumerate(truths)]
    ours = metric(crf='weclip', fused=fused)
    ours.process({}, samples)
    found = ours.compute_metrics(ours.results)
    rgb = torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1)[None]

    def refine(scores):
        return dense_crf(rgb, scores[None], 'weclip')[0]

    single, multi = [], []
    for sample in samples:
        single.append(sample['seg_logits']['data'].softmax(0))
        scores = sample['seg_scores']['data']
        multi.append(scores.softmax(0) if fused == 'logits' else scores)
    expected = {
        'mIoU_single': single,
        'mIoU_multi': multi,
        'mIoU_single_crf': list(map(refine, single)),
        'mIoU_multi_crf': list(map(refine, multi)),
    }
    assert list(found) == list(expected)
    for name, scores in expected.items():
        pairs = [(s.argmax(0), t[0]) for s, t in zip(scores, truths)]
        assert found[name] == pytest.approx(naive_miou(pairs), abs=0.006)


def test_order_and_split_of_images_do_not_matter(image, truths):
    samples = [make_sample(image[0], t, i) for i, t in enumerate(truths)]
    together, apart = metric(), metric()
    together.process({}, samples)
    for sample in reversed(samples):
        apart.process({}, [sample])
    # As mmengine merges the results of several processes.
    assert together.compute_metrics(together.results) == apart.compute_metrics(
        apart.results
    )


def test_what_a_sample_lacks_is_no_line(image, truths):
    one = metric()
    one.process({}, [make_sample(image[0], truths[0], seg_scores=None)])
    found = one.compute_metrics(one.results)
    assert list(found) == ['mIoU_single', 'mIoU_single_crf']
    other = metric(crf=None)
    other.process({}, [make_sample(image[0], truths[0], seg_logits=None)])
    assert list(other.compute_metrics(other.results)) == ['mIoU_multi']


def test_images_without_truth(image, truths):
    without = make_sample(image[0], None)
    known = make_sample(image[0], truths[0])
    one, other = metric(crf=None), metric(crf=None)
    one.process({}, [known])
    other.process({}, [without, known])
    assert one.compute_metrics(one.results) == other.compute_metrics(
        other.results
    )
    nothing = metric()
    nothing.process({}, [without])
    assert nothing.compute_metrics(nothing.results) == {}


def test_one_table(image, truths, caplog):
    ours = metric(per_class=True)
    ours.process({}, [make_sample(image[0], truths[0])])
    caplog.set_level('INFO', logger='mmengine')
    with_log = []
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    original = logger.info
    logger.info = lambda text, *rest: with_log.append(text % rest)
    try:
        ours.compute_metrics(ours.results)
    finally:
        logger.info = original
    _, table, classes = with_log
    assert table.count('\n') == 8
    for line in ('single view', 'multi-scale + flip + CRF'):
        assert line in table
    assert '| background |' in classes.replace('  ', ' ')


def test_wrong_settings(image, truths):
    with pytest.raises(ValueError, match="unknown CRF preset 'coco14'.*deepl"):
        ProtocolMetric(crf='coco14')
    with pytest.raises(ValueError, match="fused='mean' .*logits"):
        ProtocolMetric(fused='mean')
    small = torch.randn(3, 5, 7)
    sample = make_sample(image[0], truths[0][:, :5, :7], seg_logits=small,
                         seg_scores=None)  # fmt: skip
    with pytest.raises(ValueError, match=r'image\.png .*keep ori_shape'):
        metric().process({}, [sample])


# Views -----------------------------------------------------------------


def load(scales, flips=(0.0, 1.0)):
    resize = [
        dict(type='Resize', scale_factor=scale, keep_ratio=True)
        for scale in scales
    ]
    flip = [
        dict(type='RandomFlip', prob=prob, direction='horizontal')
        for prob in flips
    ]
    views = [
        dict(type='LoadImageFromFile'),
        dict(
            type='TestTimeAug',
            transforms=[resize, flip, [dict(type='PackSegInputs')]],
        ),
    ]
    single = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    return TRANSFORMS.build(
        dict(type='SingleAndViews', single=single, views=views)
    )


@pytest.mark.parametrize(
    ('scales', 'flips', 'same'),
    [
        ((0.5, 1.0), (0.0, 1.0), 2),
        ((1.0, 2.0), (0.0,), 0),
        ((1.0,), (1.0,), None),
        ((0.5, 1.5), (0.0, 1.0), None),
    ],
)
def test_views_are_loaded_with_the_single_one(image, scales, flips, same):
    views = load(scales, flips)(dict(img_path=str(image[0])))
    assert len(views['inputs']) == 1 + len(scales) * len(flips)
    first = views['data_samples'][0]
    assert first.same_view == same
    assert views['inputs'][0].shape == (3, HEIGHT, WIDTH)
    assert 'same_view' not in views['data_samples'][1]


class Count(nn.Module):
    """A network whose logits are its image, resized as mmseg does it."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def test_step(self, data):
        self.seen += len(data['inputs'])
        samples = []
        for image, sample in zip(data['inputs'], data['data_samples']):
            logits = image[None].float()
            if sample.get('flip'):
                logits = logits.flip(3)
            logits = nn.functional.interpolate(
                logits, tuple(sample.ori_shape), mode='bilinear'
            )[0]
            sample = sample.clone()
            sample.set_data(dict(seg_logits=PixelData(data=logits)))
            samples.append(sample)
        return samples


def collate(entries):
    return {
        key: [list(view) for view in zip(*(e[key] for e in entries))]
        for key in ('inputs', 'data_samples')
    }


@pytest.mark.parametrize('activation', ['softmax', 'none'])
@pytest.mark.parametrize('number', [1, 2])
@pytest.mark.parametrize('scales', [(0.5, 1.0), (0.5, 1.5)])
def test_both_predictions_in_one_pass(image, scales, number, activation):
    """Each is what a test of its own gives."""
    entries = [dict(img_path=str(image[0])) for _ in range(number)]
    transform = load(scales)
    network = Count()
    config = dict(activation=activation, module=network)
    both = MODELS.build(dict(type='ProtocolTTAModel', **config))
    samples = both.test_step(collate([transform(e) for e in entries]))
    shared = 1.0 in scales
    assert network.seen == number * (1 + 4 - shared)
    plain = MODELS.build(dict(type='RunningTTAModel', **config))
    expected = plain.test_step(
        collate([transform.views(dict(e)) for e in entries])
    )
    single = network.test_step(
        {k: [transform.single(dict(e))[k] for e in entries]
         for k in ('inputs', 'data_samples')}
    )  # fmt: skip
    assert len(samples) == number
    for one, many, alone in zip(samples, expected, single):
        assert torch.equal(one.seg_scores.data, many.seg_scores.data)
        assert torch.equal(one.pred_sem_seg.data, many.pred_sem_seg.data)
        assert torch.equal(one.seg_logits.data, alone.seg_logits.data)


def test_averages_at_a_fifth_of_the_size(image):
    """Logits to the small size, their mean, the mean to the full size."""
    transform = load((0.5, 1.0))
    network = Count()
    both = MODELS.build(
        dict(
            type='ProtocolTTAModel',
            activation='none',
            average_scale=0.2,
            module=network,
        )
    )
    entry = transform(dict(img_path=str(image[0])))
    (sample,) = both.test_step(collate([entry]))
    size = (round(HEIGHT * 0.2), round(WIDTH * 0.2))
    maps = []
    entry = transform(dict(img_path=str(image[0])))
    for view, meta in zip(entry['inputs'][1:], entry['data_samples'][1:]):
        logits = view[None].float()
        if meta.flip:
            logits = logits.flip(3)
        maps.append(nn.functional.interpolate(logits, size, mode='bilinear'))
    expected = nn.functional.interpolate(
        sum(maps) / 4, (HEIGHT, WIDTH), mode='bilinear'
    )[0]
    assert torch.allclose(sample.seg_scores.data, expected, atol=1e-4)
    assert tuple(sample.ori_shape) == (HEIGHT, WIDTH)
    assert sample.seg_logits.data.shape == (3, HEIGHT, WIDTH)
    for scale in (0, 1.5):
        with pytest.raises(ValueError, match='average_scale='):
            MODELS.build(
                dict(
                    type='RunningTTAModel',
                    average_scale=scale,
                    module=network,
                )
            )


# Configs ---------------------------------------------------------------


def config(**changes):
    base = dict(
        model=dict(type='Any'),
        tta_model=dict(type='RunningTTAModel', activation='none'),
        tta_pipeline=[dict(type='TestTimeAug')],
        test_dataloader=dict(dataset=dict(pipeline=[dict(type='One')])),
        test_evaluator=dict(type='PartialIoUMetric'),
        protocol=dict(crf='excel'),
    )
    return Config({**base, **changes})


def test_a_config_is_switched():
    cfg = config()
    use_protocol(cfg, per_class=True)
    assert cfg.model.type == 'ProtocolTTAModel'
    assert cfg.model.module == dict(type='Any')
    (views,) = cfg.test_dataloader.dataset.pipeline
    assert views.single == [dict(type='One')]
    assert views.views == [dict(type='TestTimeAug')]
    assert cfg.test_evaluator == dict(
        type='ProtocolMetric', fused='logits', per_class=True, crf='excel'
    )
    cfg = config(tta_model=dict(type='RunningTTAModel'))
    use_protocol(cfg, 'weclip')
    assert cfg.test_evaluator.fused == 'probabilities'
    assert cfg.test_evaluator.crf == 'weclip'


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(tta_pipeline=None), 'need tta_pipeline in the config'),
        (dict(test_dataloader=None), 'need test_dataloader'),
        (dict(tta_model=dict(type='CAMTTAModel')), 'tta_model=CAMTTAModel'),
        (
            dict(test_evaluator=[dict(type='A', use_labels=True)]),
            'makes masks from labels',
        ),
        (dict(protocol=dict(crf='best')), "unknown CRF preset 'best'"),
    ],
)
def test_configs_that_have_no_four_numbers(changes, message):
    with pytest.raises(ValueError, match=message):
        use_protocol(config(**changes))
