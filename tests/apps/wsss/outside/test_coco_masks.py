import json

import numpy as np
import pytest
from pycocotools import mask as coco

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.inputs.understood import describe_sources
from mmseg_weakclip.apps.wsss.outside.coco_masks import open_coco
from mmseg_weakclip.apps.wsss.outside.import_masks import import_masks
from mmseg_weakclip.apps.wsss.outside.source import OPEN
from mmseg_weakclip.common.rle import compress_runs, encode_runs

SIZE = (8, 12)
SOFA, CAT, WOLF = 3, 7, 9
CATEGORIES = [
    dict(id=SOFA, name='dog'), dict(id=CAT, name='Cat'),
    dict(id=WOLF, name='wolf'), dict(id=1, name='never seen'),
]  # fmt: skip


def box(left, top, right, bottom):
    return [[left, top, right, top, right, bottom, left, bottom]]


def rows(first, last):
    mask = np.zeros(SIZE, np.uint8)
    mask[first:last] = 1
    return mask


def compressed(mask):
    return dict(size=list(SIZE), counts=compress_runs(encode_runs(mask)))


def item(category, segmentation, **more):
    values = dict(image_id=1, category_id=category, segmentation=segmentation)
    return {**values, **more}


@pytest.fixture
def write(tmp_path):
    def call(*annotations, **lists):
        content = dict(
            images=[dict(id=1, file_name='x/a.jpg', height=8, width=12)],
            categories=CATEGORIES,
            annotations=[dict(a, id=i) for i, a in enumerate(annotations)],
        )
        path = tmp_path / 'masks.json'
        path.write_text(json.dumps({**content, **lists}))
        return path

    return call


@pytest.fixture
def read(write):
    def call(*annotations, sizes=(SIZE,), allowed=(1, 2, 3), **lists):
        masks = open_coco(write(*annotations, **lists), ['a.jpg', 'b.jpg'])
        return masks, masks.read('a.jpg', list(sizes), allowed)

    return call


@pytest.mark.parametrize(
    'segmentation',
    [
        box(0, 2, 12, 5),
        box(0, 2, 12, 3) + box(0, 3, 12, 5),
        box(0, 2, 12, 5)[0],
        compressed(rows(2, 5)),
        dict(size=list(SIZE), counts=encode_runs(rows(2, 5))),
        dict(
            size=list(SIZE),
            counts=coco.encode(np.asfortranarray(rows(2, 5)))[
                'counts'
            ].decode(),
        ),
    ],
)
def test_forms_of_a_mask(read, segmentation):
    masks, found = read(item(CAT, segmentation))
    assert masks.names == ('Cat',)
    np.testing.assert_array_equal(found, rows(2, 5))


def test_overlaps(read):
    dog, cat = item(SOFA, box(0, 0, 12, 8)), item(CAT, box(2, 2, 6, 6))
    masks, found = read(cat, dog)
    assert masks.names == ('dog', 'Cat')
    assert (found == 2).sum() == 16
    assert 'where objects overlap, the smaller counts' in masks.notes
    masks, found = read(dict(cat, score=0.4), dict(dog, score=0.5))
    assert (found == 1).all()
    assert 'that of the higher score counts' in masks.notes[0]


def test_a_false_find_hides_nothing(read):
    dog, cat = item(SOFA, box(0, 0, 12, 8)), item(CAT, box(2, 2, 6, 6))
    _, found = read(cat, dog, allowed=[1])
    assert (found == 1).all()
    _, found = read(dict(cat, score=0.9), dict(dog, score=0.5), allowed=[1])
    assert (found == 1).all()


def test_scores_of_some_images_only(read):
    """The order is that of each image, and the note says so."""
    images = [
        dict(id=i, file_name=f'{n}.jpg') for i, n in ((1, 'a'), (2, 'b'))
    ]
    dog = item(SOFA, box(0, 0, 12, 8), score=0.9)
    cat = item(CAT, box(2, 2, 6, 6), score=0.5)
    other = item(CAT, box(2, 2, 6, 6), image_id=2)
    masks, found = read(dog, cat, other, images=images)
    assert (found == 1).all()
    assert masks.notes[0] == (
        'where objects overlap, that of the higher score counts in 1 image '
        'whose objects all have a score, and the smaller counts in 1'
    )


def test_a_drawn_background(read):
    """An object of the background is none, and no class."""
    known = [dict(id=0, name='Background'), dict(id=CAT, name='cat')]
    masks, found = read(
        item(0, box(0, 0, 12, 8)),
        item(CAT, box(2, 2, 6, 6)),
        categories=known,
    )
    assert masks.names == ('cat',)
    assert found.sum() == 16
    assert '1 object of the background read as no object' in masks.notes


def test_rings_without_corners_are_no_mask(read):
    masks, found = read(
        item(CAT, [[]], bbox=[0, 6, 12, 2]),
        item(SOFA, [*box(0, 0, 12, 2), []]),
    )
    assert found[:, 0].tolist() == [1, 1, 0, 0, 0, 0, OPEN, OPEN]
    assert '1 box without a mask left unsure' in masks.notes
    with pytest.raises(ValueError, match='neither a mask nor a box'):
        read(item(CAT, [[]]))


def test_what_is_not_exact_is_open(read):
    """A crowd, and a box, below the objects."""
    masks, found = read(
        item(CAT, compressed(rows(0, 4)), iscrowd=1),
        item(CAT, None, bbox=[0, 6, 12, 2]),
        item(SOFA, box(0, 3, 12, 5)),
    )
    expected = [OPEN] * 3 + [masks.names.index('dog') + 1] * 2
    assert found[:, 0].tolist() == [*expected, 0, OPEN, OPEN]
    text = '\n'.join(masks.notes)
    assert '1 crowd region left unsure' in text
    assert '1 box without a mask left unsure' in text


def test_an_image_without_objects(read):
    masks, found = read(item(CAT, box(0, 0, 1, 1), image_id=2), images=[
        dict(id=1, file_name='a.jpg'), dict(id=2, file_name='b.jpg'),
        dict(id=3, file_name='other.jpg'),
    ])  # fmt: skip
    assert not found.any()
    assert '1 mask called like no image: other.jpg' in masks.notes


@pytest.mark.parametrize(
    ('annotations', 'lists', 'said'),
    [
        ([item(CAT, box(0, 0, 1, 1))], dict(images=[]), 'image 1, which is'),
        ([], dict(images=[dict(id=1, file_name='y.jpg')]), 'first it names i'),
        ([item(5, box(0, 0, 1, 1))], {}, 'annotation 1 has the category 5'),
        ([item(CAT, None)], {}, 'neither a mask nor a box'),
        ([item(CAT, [[1, 2, 3]])], {}, 'annotation 0 is damaged'),
        ([item(CAT, dict(size=[8, 12], counts=[5]))], {}, 'run lengths of 5'),
        ([item(CAT, dict(size=[4, 4], counts=[16]))], {}, 'of 4 x 4, its'),
        ([dict(item(CAT, 1), segments_info=[])], {}, 'is panoptic'),
        (
            [],
            dict(images=[dict(id=i, file_name='a.jpg') for i in (1, 2)]),
            'lists a.jpg twice',
        ),
        (
            [],
            dict(images=[dict(id=1, file_name='a.jpg', height=9, width=12)]),
            'a.jpg is 9 x 12 .*, its image a.jpg 8 x 12',
        ),
    ],
)
def test_files_that_cannot_be_used(read, annotations, lists, said):
    with pytest.raises(ValueError, match=said):
        read(*annotations, **lists)


def test_results_alone_name_nothing(tmp_path):
    path = tmp_path / 'results.json'
    path.write_text(json.dumps([item(CAT, box(0, 0, 1, 1))]))
    with pytest.raises(ValueError, match='A list of results alone names'):
        open_coco(path, ['a.jpg'])


def test_a_file_becomes_seeds(world, write):
    """A missing dog may be anywhere; a wolf is none."""
    path = write(
        item(CAT, box(0, 0, 12, 2)),
        item(WOLF, box(0, 2, 12, 3)),
        item(CAT, box(0, 0, 12, 2), image_id=2),
        images=[
            dict(id=1, file_name='a.jpg'),
            dict(id=2, file_name='b.jpg'),
        ],
    )
    options = dict(seeds=str(path))
    sources = world.sources(classes=None, **options)
    text = '\n'.join(describe_sources(sources, world.options(**options)))
    assert 'masks.json, read as COCO JSON: 2 images with a mask' in text
    assert 'their pixels are unsure: wolf' in text
    run = world.run(sources, **options)
    summary = import_masks(run, sources.outside, run.folder / 'seeds', {})
    assert world.mask('a')[:, 0].tolist() == [1, 1, 255, 0, 0, 0, 0, 0]
    assert world.mask('b')[:, 0].tolist() == [1, 1, *[255] * 6]
    assert summary['vetoed'] == dict(wolf=dict(pixels=12, images=['a.jpg']))


def test_other_files_are_refused(world):
    (world.folder / 'x.txt').touch()
    with pytest.raises(UserError, match='x.txt is neither a folder of PNG'):
        world.sources(seeds=str(world.folder / 'x.txt'))
    (world.folder / 'x.json').write_text('{')
    with pytest.raises(UserError, match='x.json is not valid JSON'):
        world.sources(seeds=str(world.folder / 'x.json'))
