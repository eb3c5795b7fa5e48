import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_weakclip.datasets.checks.dataset import base_datasets, check_dataset
from mmseg_weakclip.datasets.checks.problems import (
    Problem,
    has_errors,
    summarize_problems,
)


def kinds(problems: list[Problem]) -> Counter:
    return Counter(problem.kind for problem in problems)


def write_mask(path: Path, change) -> None:
    mask = np.array(Image.open(path))
    Image.fromarray(change(mask)).save(path)


def set_labels(root: Path, **changes) -> None:
    path = root / 'labels.json'
    data = json.loads(path.read_text())
    data['labels'].update(changes)
    data['labels'] = {k: v for k, v in data['labels'].items() if v is not None}
    path.write_text(json.dumps(data))


@pytest.fixture
def truth_config(weak_config, weak_root):
    """The test split of the same images, scored on 'Truth'."""
    return weak_config(
        test_mode=True,
        data_prefix=dict(img_path='JPEGImages', seg_map_path='Truth'),
        pipeline=[
            dict(type='LoadColorImage'),
            dict(
                type='LoadImageLabels', ann_file=str(weak_root / 'labels.json')
            ),
            dict(type='LoadTruthIfPresent'),
            dict(type='PackSegInputs'),
        ],
    )


@pytest.mark.parametrize('thorough', [True, False])
@pytest.mark.parametrize('workers', [0, 2])
def test_good_data(weak_config, truth_config, thorough, workers):
    for config in (weak_config(), truth_config):
        moved = []
        problems = check_dataset(
            DATASETS.build(config),
            thorough=thorough,
            num_workers=workers,
            on_sample=lambda moved=moved: moved.append(1),
        )
        assert problems == []
        assert len(moved) == 6


def break_missing_image(root):
    (root / 'JPEGImages/img2.jpg').unlink()


def break_cut_image(root):
    path = root / 'JPEGImages/img2.jpg'
    path.write_bytes(path.read_bytes()[:-40])


def break_missing_seed(root):
    (root / 'Seeds/img2.png').unlink()


def break_damaged_seed(root):
    (root / 'Seeds/img2.png').write_bytes(b'no image')


def break_size(root):
    write_mask(root / 'Seeds/img2.png', lambda mask: mask[:-1])


def break_ids(root):
    write_mask(root / 'Seeds/img2.png', lambda mask: np.uint8(mask % 250 + 3))


def break_empty_seed(root):
    write_mask(root / 'Seeds/img2.png', lambda m: np.full_like(m, 255))


def break_contradiction(root):
    set_labels(root, img2=['cat'])


def break_missing_labels(root):
    set_labels(root, img2=None)


def break_empty_labels(root):
    set_labels(root, img2=[])


CASES = [
    (break_missing_image, 'missing-image', r'img2\.jpg does not exist'),
    (break_cut_image, 'unreadable-image', r'img2\.jpg'),
    (break_missing_seed, 'missing-seed', r'Seeds/img2\.png does not exist'),
    (break_damaged_seed, 'unreadable-mask', r'Seeds/img2\.png is damaged'),
    (break_size, 'size-mismatch', r'img2\.png is 39 x 28.*img2\.jpg 40 x 28'),
    (break_ids, 'mask-ids', r'img2\.png has ids \['),
    (break_empty_seed, 'empty-seed', r'img2\.png has only ignored'),
    (break_contradiction, 'seed-not-in-labels', r'img2\.png shows bird'),
    (break_missing_labels, 'missing-labels', r'labels\.json does not name'),
    (break_empty_labels, 'empty-labels', r'labels\.json gives .* no class'),
]
LABEL_CASES = {'empty-labels': {'seed-not-in-labels'}}


@pytest.mark.parametrize(('damage', 'kind', 'message'), CASES)
@pytest.mark.parametrize('thorough', [True, False])
def test_one_thing_wrong(
    weak_config, weak_root, damage, kind, message, thorough
):
    damage(weak_root)
    # As tools/check_dataset.py builds it.
    dataset = DATASETS.build(weak_config(check_masks=False))
    problems = check_dataset(dataset, thorough=thorough)
    if kind == 'unreadable-image' and not thorough:
        # Only the header is read, and that is whole.
        assert problems == []
        return
    # No label at all also contradicts what the seed shows.
    assert set(kinds(problems)) == {kind, *LABEL_CASES.get(kind, ())}
    problem = next(p for p in problems if p.kind == kind)
    assert (problem.severity, problem.item) == ('error', 'img2')
    assert re.search(message, problem.message)
    assert has_errors(problems)


@pytest.mark.parametrize(
    'damage',
    # Labels and seeds meet in the check only.
    [case[0] for case in CASES if case[0] is not break_contradiction],
)
def test_training_names_the_same_culprit(weak_config, weak_root, damage):
    damage(weak_root)
    dataset = DATASETS.build(weak_config(check_masks=False))
    with pytest.raises((ValueError, FileNotFoundError), match='img2'):
        dataset[2]
    assert dataset[1] is not None


def test_truth_contradictions_are_warnings(truth_config, weak_root):
    set_labels(weak_root, img2=['cat'])
    problems = check_dataset(DATASETS.build(truth_config))
    assert [(p.kind, p.severity, p.item) for p in problems] == [
        ('truth-not-in-labels', 'warning', 'img2'),
        ('label-not-in-truth', 'warning', 'img2'),
    ]
    assert 'bird' in problems[0].message
    assert 'cat' in problems[1].message
    assert not has_errors(problems)


def test_truth_may_be_missing(truth_config, weak_root):
    (weak_root / 'Truth/img2.png').unlink()
    assert check_dataset(DATASETS.build(truth_config)) == []
    truth_config['pipeline'][2] = dict(type='LoadAnnotations')
    problems = check_dataset(DATASETS.build(truth_config))
    assert kinds(problems) == {'missing-truth': 1}


def test_options_of_the_transforms_lower_severity(weak_config, weak_root):
    break_empty_labels(weak_root)
    write_mask(weak_root / 'Seeds/img2.png', lambda m: np.full_like(m, 255))
    config = weak_config()
    config['pipeline'][1]['allow_empty'] = True
    config['pipeline'][2]['allow_empty'] = True
    problems = check_dataset(DATASETS.build(config))
    assert [(p.kind, p.severity) for p in problems] == [
        ('empty-labels', 'warning')
    ]


def test_label_file_problems(weak_config, weak_root):
    set_labels(weak_root, img1=['brid'], img3=['brid'])
    problems = check_dataset(DATASETS.build(weak_config()))
    assert kinds(problems) == {'label-file': 1}
    assert "'brid' (2x, first for image 'img1'" in problems[0].message
    assert 'nearest: bird' in problems[0].message
    (weak_root / 'labels.json').unlink()
    problems = check_dataset(DATASETS.build(weak_config()))
    assert 'labels.json do not exist' in problems[0].message


def test_repeated_ids(weak_config, weak_root):
    (weak_root / 'train.txt').write_text('img1\nimg2\nimg1\n')
    problems = check_dataset(DATASETS.build(weak_config()))
    assert [(p.kind, p.severity, p.item) for p in problems] == [
        ('repeated-id', 'warning', 'img1')
    ]
    assert '2 times' in problems[0].message


@pytest.mark.parametrize('thorough', [True, False])
def test_masks_of_a_training_without_seeds_stay_closed(
    weak_config, weak_root, thorough
):
    """Pixel truth may be there, damaged or absent: nobody looks."""
    for i, path in enumerate(sorted((weak_root / 'Truth').iterdir())):
        path.write_bytes(b'not to be opened') if i else path.unlink()
    config = weak_config(
        data_prefix=dict(img_path='JPEGImages', seg_map_path='Truth')
    )
    del config['pipeline'][2]
    dataset = DATASETS.build(config)
    assert check_dataset(dataset, thorough=thorough) == []
    config['pipeline'].insert(2, dict(type='LoadAnnotations'))
    problems = check_dataset(DATASETS.build(config), thorough=thorough)
    assert [(p.kind, p.severity) for p in problems] == [
        ('unchecked-masks', 'warning')
    ]
    config['pipeline'][2] = dict(type='LoadTruthIfPresent')
    problems = check_dataset(DATASETS.build(config), thorough=thorough)
    assert [(p.kind, p.severity) for p in problems] == [
        ('truth-in-training', 'error')
    ]


def test_quick_check_opens_the_first_masks_only(weak_config, weak_root):
    for i in (1, 4):
        (weak_root / f'Seeds/img{i}.png').write_bytes(b'no image')
    dataset = DATASETS.build(weak_config())
    problems = check_dataset(dataset, thorough=False, num_masks=3)
    assert [p.item for p in problems] == ['img1']
    (weak_root / 'Seeds/img5.png').unlink()
    problems = check_dataset(dataset, thorough=False, num_masks=0)
    assert [(p.kind, p.item) for p in problems] == [('missing-seed', 'img5')]


def test_wrappers_and_stock_datasets(weak_config, weak_root, classes):
    break_missing_image(weak_root)
    stock = dict(
        type='BaseSegDataset',
        data_root=str(weak_root),
        ann_file='train.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='Seeds'),
        metainfo=dict(classes=classes),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadSeed', num_classes=4),
        ],
    )
    wrapped = DATASETS.build(
        dict(
            type='RepeatDataset',
            times=3,
            dataset=dict(
                type='ConcatDataset',
                datasets=[weak_config(), stock],
                ignore_keys='palette',
            ),
        )
    )
    assert [type(part) for part in base_datasets(wrapped)][1] is BaseSegDataset
    problems = check_dataset(wrapped)
    assert kinds(problems) == {'missing-image': 2}


@pytest.mark.parametrize(
    ('encoding', 'severity'), [('contiguous', 'warning'), ('auto', 'error')]
)
def test_encoding_of_coco_masks(tmp_path, encoding, severity):
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
    for i, class_id in enumerate([12, 3, 90]):
        image = np.full((6, 8), class_id, np.uint8)
        Image.fromarray(image).save(tmp_path / f'masks/{i}.png')
        Image.fromarray(image).save(tmp_path / f'images/{i}.jpg')
    config = dict(
        type='WeakCOCO14Dataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        label_encoding=encoding,
        # The probe sees one mask, the check all.
        encoding_probe=1,
        pipeline=[dict(type='LoadColorImage'), dict(type='LoadSeed')],
    )
    problems = check_dataset(DATASETS.build(config))
    assert kinds(problems) == {'mask-ids': 1, 'label-encoding': 1}
    assert problems[-1].severity == severity
    assert '2.png' in problems[-1].message
    assert '0.png' in problems[-1].message


def test_set_encoding_that_all_masks_contradict(tmp_path):
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
    image = np.full((6, 8), 12, np.uint8)
    Image.fromarray(image).save(tmp_path / 'masks/0.png')
    Image.fromarray(image).save(tmp_path / 'images/0.jpg')
    config = dict(
        type='WeakCOCO14Dataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        label_encoding='coco91',
        pipeline=[
            dict(type='LoadColorImage'),
            dict(type='LoadSeed', allow_empty=True),
        ],
    )
    problems = check_dataset(DATASETS.build(config))
    assert [(p.kind, p.severity) for p in problems] == [
        ('label-encoding', 'warning')
    ]
    assert 'look like contiguous' in problems[0].message


def test_summary():
    problems = [
        Problem('late', 'warning', 'w', 'a warning'),
        *[Problem('bad', 'error', f'i{i}', f'no {i}') for i in range(5)],
    ]
    assert summarize_problems(problems, 2).splitlines() == [
        'error    bad                   5x',
        '    i0: no 0',
        '    i1: no 1',
        '    ... and 3 more',
        'warning  late                  1x',
        '    w: a warning',
    ]
    assert summarize_problems([]) == 'No problem found.'
    assert not has_errors(problems[:1])


def test_real_data(voc_root, coco_root):
    def split(type, root, folder, ann_file, labels):
        return DATASETS.build(
            dict(
                type=type,
                data_root=str(root),
                ann_file=ann_file,
                data_prefix=dict(img_path='JPEGImages', seg_map_path=folder),
                test_mode=True,
                pipeline=[
                    dict(type='LoadColorImage'),
                    dict(type='LoadImageLabels', ann_file=str(root / labels)),
                    dict(type='LoadTruthIfPresent'),
                ],
            )
        )

    voc = split(
        'WeakVOC12Dataset',
        voc_root,
        'SegmentationClass',
        'ImageSets/Segmentation/val.txt',
        'cls_labels_onehot.npy',
    )
    assert check_dataset(voc) == []
    coco = split(
        'WeakCOCO14Dataset',
        coco_root,
        'SegmentationClass_coco80',
        'ImageSets/val.txt',
        'image_labels.json',
    )
    problems = check_dataset(coco, num_workers=2)
    # A crowd is a tag, and ignored in the mask.
    assert set(kinds(problems)) <= {'label-not-in-truth'}
