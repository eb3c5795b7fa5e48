import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_weakclip.common.names import VOCABULARIES
from mmseg_weakclip.datasets.coco import WeakCOCO14Dataset, WeakCOCO14Dataset91
from mmseg_weakclip.datasets.labels.image_labels import ImageLabels
from mmseg_weakclip.datasets.masks.coco_encoding import (
    MaskIds,
    detect_coco_encoding,
    encoding_label_map,
)

COCO = ('background', *VOCABULARIES['coco'])
COCO91 = ('background', *VOCABULARIES['coco91'])
# Contiguous id to COCO's own id.
TO_COCO91 = {i: COCO91.index(name) for i, name in enumerate(COCO)}


def mask(path: str, *ids: int, names=None) -> MaskIds:
    return MaskIds(path, frozenset(ids), names and frozenset(names))


@pytest.mark.parametrize('only', [81, 82, *range(84, 91)])
def test_ids_of_coco91_only(only):
    assert detect_coco_encoding([mask('a', 0, 1), mask('b', only)]) == 'coco91'


@pytest.mark.parametrize('only', [12, 26, 29, 30, 45, 66, 68, 69, 71])
def test_ids_of_contiguous_only(only):
    masks = [mask('a', 0, 1), mask('b', only)]
    assert detect_coco_encoding(masks) == 'contiguous'


@pytest.mark.parametrize('ids', [(83,), (91,), (12, 90)])
def test_ids_of_neither(ids):
    with pytest.raises(ValueError, match=r'odd\.png has ids'):
        detect_coco_encoding([mask('a', 90), mask('odd.png', *ids)])


def test_mixture_names_two_files():
    masks = [mask('a', 1), mask('ninety.png', 90), mask('twelve.png', 12)]
    with pytest.raises(ValueError, match=r'ninety\.png.*twelve\.png'):
        detect_coco_encoding(masks)


def test_undecidable():
    with pytest.raises(ValueError, match='Set label_encoding'):
        detect_coco_encoding([mask('a', 0, 1, 11), mask('b', 13)])


def test_labels_decide_where_ids_do_not():
    # 13 is the stop sign of COCO and the contiguous parking meter.
    stop = mask('a', 0, 1, 13, names=('person', 'stop sign', 'dog'))
    park = mask('b', 0, 1, 13, names=('person', 'parking meter'))
    neither = mask('c', 13, names=('dog',))
    both = mask('d', 0, 1, names=('person',))
    assert detect_coco_encoding([both, neither, stop]) == 'coco91'
    assert detect_coco_encoding([both, neither, park]) == 'contiguous'
    with pytest.raises(ValueError, match=r'a \(ids .*b \(ids'):
        detect_coco_encoding([stop, park])
    with pytest.raises(ValueError, match='Set label_encoding'):
        detect_coco_encoding([both, neither])


def test_labels_against_ids():
    stop = mask('a', 13, names=('stop sign',))
    twelve = mask('b', 12)
    with pytest.raises(ValueError, match='mix'):
        detect_coco_encoding([stop, twelve])
    # One mask among very many is a mistake of its labels.
    assert detect_coco_encoding([stop, *[twelve] * 50]) == 'contiguous'
    # Ids are never a mistake, however few.
    with pytest.raises(ValueError, match='mix'):
        detect_coco_encoding([twelve, *[stop] * 50])
    with pytest.raises(ValueError, match='mix'):
        detect_coco_encoding([mask('c', 90), *[twelve] * 50])


def test_label_maps():
    coco91 = encoding_label_map('coco91', COCO)
    assert coco91[13] == 12
    assert coco91[90] == 80
    unused = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    assert {i for i, new in coco91.items() if new == 255} == unused
    assert encoding_label_map('contiguous', COCO) == {i: i for i in range(81)}
    assert encoding_label_map('contiguous', COCO91) == TO_COCO91
    assert encoding_label_map('coco91', COCO91) == {i: i for i in range(91)}
    few = encoding_label_map('coco91', ('background', 'zebra'), 254)
    assert few[24] == 1
    assert few[1] == 254


@pytest.fixture
def coco_like(tmp_path):
    """Five images of COCO classes with contiguous and 91-id masks."""
    rng = np.random.default_rng(0)
    shown = [(1, 13), (12, 80), (2,), (70, 71), (1, 2, 3)]
    labels = {}
    for folder in ('images', 'contiguous', 'coco91'):
        (tmp_path / folder).mkdir()
    table = np.array([TO_COCO91[i] for i in range(81)], np.uint8)
    for i, ids in enumerate(shown):
        image = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / f'images/{i:012}.jpg')
        labelled = np.zeros((12, 16), np.uint8)
        for row, class_id in enumerate(ids):
            labelled[row] = class_id
        Image.fromarray(labelled).save(tmp_path / f'contiguous/{i:012}.png')
        Image.fromarray(table[labelled]).save(tmp_path / f'coco91/{i:012}.png')
        labels[f'{i:012}'] = tuple(class_id - 1 for class_id in ids)
    (tmp_path / 'train.txt').write_text('\n'.join(labels))
    ImageLabels(COCO[1:], labels, '').save(tmp_path / 'labels.json')
    return tmp_path


def build(root, folder: str | None, type='WeakCOCO14Dataset', **changes):
    prefix = dict(img_path='images')
    pipeline = [dict(type='LoadColorImage'), dict(type='PackSegInputs')]
    if folder is not None:
        prefix['seg_map_path'] = folder
        pipeline.insert(1, dict(type='LoadSeed'))
    config = dict(
        type=type,
        data_root=str(root),
        ann_file='train.txt',
        data_prefix=prefix,
        pipeline=pipeline,
    )
    return DATASETS.build({**config, **changes})


def masks_of(dataset) -> list[np.ndarray]:
    return [item['data_samples'].gt_sem_seg.data.numpy() for item in dataset]


@pytest.mark.parametrize('type', ['WeakCOCO14Dataset', 'WeakCOCO14Dataset91'])
def test_both_encodings_give_the_same_samples(coco_like, type):
    first = build(coco_like, 'contiguous', type)
    second = build(coco_like, 'coco91', type)
    assert (first.mask_encoding, second.mask_encoding) == (
        'contiguous',
        'coco91',
    )
    for a, b in zip(masks_of(first), masks_of(second)):
        assert np.array_equal(a, b)
    name = first.metainfo['classes'][masks_of(first)[3][0, 1, 0]]
    assert name == VOCABULARIES['coco'][70]


def test_sizes_of_the_class_lists(coco_like):
    for kind, size in ((WeakCOCO14Dataset, 81), (WeakCOCO14Dataset91, 91)):
        dataset = build(coco_like, None, kind.__name__)
        assert len(dataset.metainfo['classes']) == size
        assert len(dataset.metainfo['palette']) == size
        assert dataset.mask_encoding is None


def test_mixture_is_refused(coco_like):
    (coco_like / 'contiguous/000000000001.png').write_bytes(
        (coco_like / 'coco91/000000000001.png').read_bytes()
    )
    with pytest.raises(ValueError, match=r'000000000001.*000000000003'):
        build(coco_like, 'contiguous')


def test_image_labels_serve_as_evidence(coco_like):
    (coco_like / 'train.txt').write_text('000000000000\n')
    with pytest.raises(ValueError, match='Set label_encoding'):
        build(coco_like, 'coco91')
    pipeline = [
        dict(type='LoadColorImage'),
        dict(type='LoadImageLabels', ann_file=str(coco_like / 'labels.json')),
        dict(type='LoadSeed'),
    ]
    for folder in ('coco91', 'contiguous'):
        dataset = build(coco_like, folder, pipeline=pipeline)
        assert dataset.mask_encoding == folder


def test_encoding_that_is_set(coco_like):
    (coco_like / 'train.txt').write_text('000000000000\n')
    dataset = build(coco_like, 'coco91', label_encoding='coco91')
    assert set(np.unique(masks_of(dataset)[0])) == {0, 1, 13}
    dataset = build(coco_like, 'coco91', label_encoding='contiguous')
    assert set(np.unique(masks_of(dataset)[0])) == {0, 1, 14}
    with pytest.raises(ValueError, match="'coco80'"):
        build(coco_like, 'coco91', label_encoding='coco80')


def test_wrong_encoding_fails_at_the_first_impossible_id(coco_like):
    dataset = build(coco_like, 'coco91', label_encoding='contiguous')
    with pytest.raises(ValueError, match=r'000000000001\.png has ids \[90\]'):
        dataset[1]


def test_probe_is_bounded_and_spread(coco_like, monkeypatch):
    opened = []
    original = WeakCOCO14Dataset._mask_ids
    monkeypatch.setattr(
        WeakCOCO14Dataset,
        '_mask_ids',
        lambda self, image, path: (
            opened.append(image.name) or original(self, image, path)
        ),
    )
    build(coco_like, 'contiguous', encoding_probe=4)
    assert [int(name) for name in opened] == [0, 1, 2, 4]


def test_training_without_seeds_opens_no_mask(coco_like):
    for path in (coco_like / 'coco91').iterdir():
        path.write_bytes(b'not to be opened')
    pipeline = [dict(type='LoadColorImage'), dict(type='PackSegInputs')]
    dataset = build(coco_like, 'coco91', pipeline=pipeline)
    assert 'gt_sem_seg' not in dataset[0]['data_samples']


def test_training_on_other_masks_must_say_their_encoding(coco_like):
    pipeline = [dict(type='LoadColorImage'), dict(type='LoadAnnotations')]
    with pytest.raises(ValueError, match='LoadAnnotations.*label_encoding'):
        build(coco_like, 'coco91', pipeline=pipeline)
    dataset = build(
        coco_like, 'coco91', pipeline=pipeline, label_encoding='coco91'
    )
    assert set(np.unique(dataset[1]['gt_seg_map'])) == {0, 12, 80}


def test_test_split_that_loads_no_mask_opens_none(coco_like):
    for path in (coco_like / 'coco91').iterdir():
        path.write_bytes(b'not to be opened')
    pipeline = [dict(type='LoadColorImage'), dict(type='PackSegInputs')]
    build(coco_like, 'coco91', pipeline=pipeline, test_mode=True)


def test_no_mask_exists(coco_like):
    (coco_like / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match=r'None of 5 masks'):
        build(coco_like, 'empty', check_masks=False)
    with pytest.raises(FileNotFoundError, match=r'lacks the masks of 5 of 5'):
        build(coco_like, 'empty')


def test_test_split_without_truth(coco_like):
    pipeline = [
        dict(type='LoadColorImage'),
        dict(type='LoadTruthIfPresent'),
        dict(type='PackSegInputs'),
    ]
    dataset = build(coco_like, 'gone', pipeline=pipeline, test_mode=True)
    assert 'gt_sem_seg' not in dataset[0]['data_samples']


def test_real_masks(coco_root, tmp_path):
    options = dict(
        type='WeakCOCO14Dataset',
        data_root=str(coco_root),
        ann_file='ImageSets/val.txt',
        test_mode=True,
        pipeline=[
            dict(type='LoadColorImage'),
            dict(type='LoadTruthIfPresent'),
            dict(type='PackSegInputs'),
        ],
    )
    folder = 'SegmentationClass_coco80'
    prefix = dict(img_path='JPEGImages', seg_map_path=folder)
    dataset = DATASETS.build(dict(options, data_prefix=prefix))
    assert dataset.mask_encoding == 'contiguous'
    table = np.arange(256, dtype=np.uint8)
    for old, new in TO_COCO91.items():
        table[old] = new
    for path in sorted((coco_root / folder).iterdir()):
        Image.fromarray(table[np.asarray(Image.open(path))]).save(
            tmp_path / path.name
        )
    prefix = dict(img_path='JPEGImages', seg_map_path=str(tmp_path))
    other = DATASETS.build(dict(options, data_prefix=prefix))
    assert other.mask_encoding == 'coco91'
    for i in range(0, 60, 12):
        first = dataset[i]['data_samples'].gt_sem_seg.data
        second = other[i]['data_samples'].gt_sem_seg.data
        assert np.array_equal(first, second)
