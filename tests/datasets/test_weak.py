import json
import pickle

import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmseg.registry import DATASETS

from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.common.names import VOCABULARIES
from mmseg_weakclip.datasets.checks.dataset import check_set, make_plan
from mmseg_weakclip.datasets.voc import WeakVOC12Dataset
from mmseg_weakclip.toyland.dataset import ToylandDataset


def test_sample(weak_config, weak_root, classes):
    dataset = DATASETS.build(weak_config())
    assert len(dataset) == 6
    sample = dataset[1]['data_samples']
    assert sample.img_id == 'img1'
    assert sample.image_labels == (2,)
    assert set(np.unique(sample.gt_sem_seg.data)) == {0, 2, 255}
    assert dataset.metainfo['classes'] == classes
    assert dataset.metainfo['palette'] == label_colors(4)


def test_fields_at_fetch_time_are_not_serialised(weak_config, classes):
    dataset = DATASETS.build(weak_config())
    stored = pickle.loads(dataset.data_bytes[: dataset.data_address[0]])
    assert set(stored) == {
        'img_path',
        'seg_map_path',
        'reduce_zero_label',
        'seg_fields',
    }
    info = dataset.get_data_info(0)
    assert info['img_id'] == 'img0'
    assert info['classes'] == classes
    assert info['test_mode'] is False
    test = DATASETS.build(weak_config(test_mode=True))
    assert test.get_data_info(0)['test_mode'] is True


def test_repeated_ids_are_taken_once_with_a_warning(
    weak_config, weak_root, monkeypatch
):
    warnings = []
    logger = MMLogger.get_instance('repeated')
    monkeypatch.setattr(
        logger, 'handle', lambda r: warnings.append(r.getMessage())
    )
    path = weak_root / 'twice.txt'
    path.write_text('img3\nimg1\nimg3\nimg1\nimg3\n')
    dataset = DATASETS.build(weak_config(ann_file='twice.txt'))
    assert len(dataset) == 2
    assert dataset.repeated_ids == {'img3': 3, 'img1': 2}
    assert len([w for w in warnings if '2 images' in w and 'img3' in w]) == 1


@pytest.fixture
def some_labels(weak_root):
    """Labels that give img0 no class and do not know img4."""
    path = weak_root / 'some.json'
    names = {f'img{i}': ['cat'] for i in (1, 2, 3, 5)}
    labels = {'img0': [], **names}
    path.write_text(json.dumps(dict(classes=['cat'], labels=labels)))
    return path


def skipping_config(weak_config, path, **changes):
    config = weak_config(skip_unlabelled=True, **changes)
    config['pipeline'][1]['ann_file'] = str(path)
    return config


@pytest.mark.parametrize('test_mode', [False, True])
def test_unlabelled_images_are_skipped_and_counted(
    weak_config, some_labels, monkeypatch, test_mode
):
    warnings = []
    logger = MMLogger.get_instance(f'skipped{test_mode}')
    monkeypatch.setattr(
        logger, 'handle', lambda r: warnings.append(r.getMessage())
    )
    config = skipping_config(weak_config, some_labels, test_mode=test_mode)
    dataset = DATASETS.build(config)
    ids = [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]
    assert ids == ['img1', 'img2', 'img3', 'img5']
    assert dataset.skipped_ids == ['img0', 'img4']
    (warning,) = [text for text in warnings if 'skipped' in text]
    assert '2 of 6 images no class' in warning
    assert "'img0'" in warning
    problems = check_set(dataset, make_plan(dataset))
    assert [p.item for p in problems if p.kind == 'skipped-image'] == [
        'img0',
        'img4',
    ]


def test_nothing_is_left(weak_config, weak_root, some_labels):
    (weak_root / 'none.txt').write_text('img0\nimg4\n')
    config = skipping_config(weak_config, some_labels, ann_file='none.txt')
    with pytest.raises(ValueError, match=r'none of the 2 images of .*none'):
        DATASETS.build(config)


def test_skipping_needs_labels(weak_config):
    config = weak_config(skip_unlabelled=True)
    del config['pipeline'][1]
    with pytest.raises(ValueError, match='no LoadImageLabels'):
        DATASETS.build(config)


def test_list_with_files_and_masks(weak_config, weak_root):
    (weak_root / 'pairs.txt').write_text(
        '/JPEGImages/img2.jpg /SegmentationClassAug/img2.png\nimg4.jpg\n'
    )
    dataset = DATASETS.build(weak_config(ann_file='pairs.txt'))
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info['img_id'] for info in infos] == ['img2', 'img4']
    # The masks come from the config's folder, not from the list's.
    assert infos[0]['seg_map_path'] == str(weak_root / 'Seeds/img2.png')
    assert dataset[0]['data_samples'].image_labels == (3,)


def test_whole_folder_without_a_list(weak_config):
    dataset = DATASETS.build(weak_config(ann_file=''))
    ids = [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]
    assert ids == [f'img{i}' for i in range(6)]


def test_labels_without_seeds(weak_config):
    config = weak_config(data_prefix=dict(img_path='JPEGImages'))
    config['pipeline'] = [
        t for t in config['pipeline'] if t['type'] != 'LoadSeed'
    ]
    sample = DATASETS.build(config)[0]['data_samples']
    assert sample.image_labels == (1,)
    assert 'gt_sem_seg' not in sample


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(ann_file='gone.txt'), r'no list of images at .*gone\.txt'),
        (dict(data_prefix=dict(img_path='Gone')), r'no images at .*Gone'),
        (
            dict(data_prefix=dict(img_path='JPEGImages')),
            r"no seeds at ''.*expects <data_root>",
        ),
        (
            dict(data_prefix=dict(img_path='JPEGImages', seg_map_path='Gone')),
            r'no seeds at .*Gone',
        ),
        (dict(ann_file='', img_suffix='.bmp'), r'no \*\.bmp image'),
    ],
)
def test_missing_parts(weak_config, changes, message):
    with pytest.raises(FileNotFoundError, match=message):
        DATASETS.build(weak_config(**changes))


def test_missing_seeds_are_an_error_of_training_only(weak_config, weak_root):
    (weak_root / 'Seeds/img1.png').unlink()
    (weak_root / 'Seeds/img4.png').unlink()
    message = r'Seeds lacks the masks of 2 of 6 .*\(img1\.png, img4\.png\)'
    with pytest.raises(FileNotFoundError, match=message):
        DATASETS.build(weak_config())
    assert len(DATASETS.build(weak_config(check_masks=False))) == 6
    assert len(DATASETS.build(weak_config(test_mode=True))) == 6
    config = weak_config()
    config['pipeline'] = [
        t for t in config['pipeline'] if t['type'] != 'LoadSeed'
    ]
    assert len(DATASETS.build(config)) == 6
    # Only what is listed needs one.
    (weak_root / 'few.txt').write_text('img0\nimg5\n')
    assert len(DATASETS.build(weak_config(ann_file='few.txt'))) == 2


def test_seeds_of_skipped_images_are_not_needed(
    weak_config, weak_root, some_labels
):
    (weak_root / 'Seeds/img0.png').unlink()
    config = skipping_config(weak_config, some_labels)
    assert len(DATASETS.build(config)) == 4


def test_seeds_of_nested_ids(weak_config, weak_root):
    for folder, suffix in (('JPEGImages', 'jpg'), ('Seeds', 'png')):
        (weak_root / f'{folder}/a').mkdir()
        path = weak_root / f'{folder}/img1.{suffix}'
        path.rename(weak_root / f'{folder}/a/img1.{suffix}')
    (weak_root / 'nested.txt').write_text('img0\na/img1\n')
    dataset = DATASETS.build(weak_config(ann_file='nested.txt'))
    assert dataset[1]['data_samples'].img_id == 'img1'
    # A mask of that name in another place is none.
    (weak_root / 'Seeds/a/img1.png').rename(weak_root / 'Seeds/img1.png')
    with pytest.raises(FileNotFoundError, match=r'1 of 2 .*\(a/img1\.png\)'):
        DATASETS.build(weak_config(ann_file='nested.txt'))


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (None, 'does not know its classes'),
        (('cat', 'background'), "'background' is class 1"),
        (('background', 'tea pot', 'teapot'), 'have the same name'),
    ],
)
@pytest.mark.parametrize('test_mode', [False, True])
def test_bad_classes(weak_config, classes, message, test_mode):
    metainfo = None if classes is None else dict(classes=classes)
    with pytest.raises(ValueError, match=message):
        DATASETS.build(weak_config(metainfo=metainfo, test_mode=test_mode))


def test_truth_is_loaded_in_a_test_split_only(weak_config, weak_root):
    pipeline = [
        dict(type='LoadColorImage'),
        dict(type='Resize', scale=(64, 64)),
        dict(type='LoadTruthIfPresent'),
        dict(type='PackSegInputs'),
    ]
    (weak_root / 'Truth/img1.png').unlink()
    changes = dict(
        pipeline=pipeline,
        data_prefix=dict(img_path='JPEGImages', seg_map_path='Truth'),
    )
    dataset = DATASETS.build(weak_config(test_mode=True, **changes))
    samples = [item['data_samples'] for item in dataset]
    assert ['gt_sem_seg' in sample for sample in samples] == (
        [True, False] + [True] * 4
    )
    assert samples[0].gt_sem_seg.shape == samples[0].ori_shape
    with pytest.raises(ValueError, match='outside of a test loop'):
        DATASETS.build(weak_config(**changes))[0]


def test_voc_classes(voc_root):
    dataset = WeakVOC12Dataset(
        ann_file='ImageSets/Segmentation/val.txt',
        data_root=str(voc_root),
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'
        ),
        pipeline=[
            dict(type='LoadColorImage'),
            dict(
                type='LoadImageLabels',
                ann_file=str(voc_root / 'cls_labels_onehot.npy'),
            ),
            dict(type='LoadTruthIfPresent'),
            dict(type='PackSegInputs', meta_keys=('img_id', 'image_labels')),
        ],
        test_mode=True,
    )
    assert len(dataset) == 60
    for i in range(5):
        sample = dataset[i]['data_samples']
        shown = set(np.unique(sample.gt_sem_seg.data)) - {0, 255}
        assert shown == set(sample.image_labels)


def test_voc_subset_of_classes(voc_root):
    dataset = WeakVOC12Dataset(
        ann_file='ImageSets/Segmentation/val.txt',
        data_root=str(voc_root),
        data_prefix=dict(img_path='JPEGImages'),
        metainfo=dict(classes=('background', 'dog', 'cat')),
    )
    palette = WeakVOC12Dataset.METAINFO['palette']
    assert dataset.metainfo['palette'] == [palette[i] for i in (0, 12, 8)]
    assert dataset.label_map[12] == 1
    assert dataset.label_map[1] == 255


def test_toyland_classes():
    assert ToylandDataset.METAINFO['classes'] == (
        'background',
        *VOCABULARIES['toyland'],
    )


def test_label_file_is_looked_for_below_the_data_root(weak_config, weak_root):
    config = weak_config()
    loader = next(
        t for t in config['pipeline'] if t['type'] == 'LoadImageLabels'
    )
    loader['ann_file'] = 'labels.json'
    assert DATASETS.build(config)[1]['data_samples'].image_labels == (2,)
    loader['ann_file'] = str(weak_root / 'labels.json')
    config['data_root'] = str(weak_root)
    assert DATASETS.build(config)[1]['data_samples'].image_labels == (2,)
