import numpy as np
from PIL import Image

from mmseg_weakclip.apps.run_folder.schema import RunImage
from mmseg_weakclip.apps.wsss.scoring import (
    areas_of,
    confusion_matrix,
    result_paths,
    score_masks,
)
from mmseg_weakclip.evaluation.areas import class_areas


def entry(name, source='', truth=None):
    return RunImage(
        name, source or f'{name}.jpg', f'images/{name}.jpg', (2, 4), (2, 4),
        'val', ('a',), truth
    )  # fmt: skip


def test_confusion_by_hand():
    truth = np.array([[0, 0, 1, 2], [255, 2, 2, 1]], np.uint8)
    prediction = np.array([[0, 1, 1, 255], [2, 2, 0, 1]], np.uint8)
    np.testing.assert_array_equal(
        confusion_matrix(prediction, truth, 3),
        [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 1, 1]],
    )


def test_areas_are_those_of_the_writer():
    rng = np.random.default_rng(0)
    truth, prediction = (
        rng.choice([0, 1, 2, 255], (20, 30)).astype(np.uint8) for _ in range(2)
    )
    np.testing.assert_array_equal(
        areas_of(confusion_matrix(prediction, truth, 3)),
        class_areas(prediction, truth, 3),
    )


def test_only_images_with_both_count(tmp_path):
    for name in ('masks/a', 'masks/b', 'truth/a', 'truth/c'):
        path = tmp_path / f'{name}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.eye(3, dtype=np.uint8)).save(path)
    entries = [
        entry('a', truth='truth/a.png'),
        entry('b'),
        entry('c', truth='truth/c.png'),
    ]
    scores = score_masks(tmp_path, entries, tmp_path, ['bg', 'x', 'y'])
    assert scores['images'] == 1
    assert scores['IoU'] == {'bg': 100.0, 'x': 100.0, 'y': None}
    assert scores['mIoU'] == 100.0
    assert scores['confusion'] == [[6, 0, 0], [0, 3, 0], [0, 0, 0]]
    assert score_masks(tmp_path, entries[1:2], tmp_path, ['bg', 'x']) is None


def test_results_keep_the_names_of_the_user():
    entries = [
        entry('1', 'x/My Cat.JPG'),
        entry('2', 'y/My Cat.JPG'),
        entry('3', 'z/a.jpg'),
        entry('4', 'z/A.png'),
    ]
    assert {k: str(v) for k, v in result_paths(entries).items()} == {
        '1': 'x/My Cat.png',
        '2': 'y/My Cat.png',
        '3': 'z/a.jpg.png',
        '4': 'z/A.png.png',
    }
