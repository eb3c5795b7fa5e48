import numpy as np
from PIL import Image

from mmseg_weakclip.apps.run_folder.schema import RunImage
from mmseg_weakclip.apps.wsss.scoring import (
    describe_scores,
    result_paths,
    score_masks,
    write_scores,
)


def entry(name, source='', truth=None):
    return RunImage(
        name, source or f'{name}.jpg', f'images/{name}.jpg', (2, 4), (2, 4),
        'val', ('a',), truth
    )  # fmt: skip


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
    lines = describe_scores(dict(masks=dict(val=scores)))
    assert '100.0 mIoU (1 image, 2 of 3 classes)' in lines[0]
    assert lines[1].startswith('no mask of val shows y: ')


def test_a_mean_over_all_classes_says_no_more():
    scores = dict(
        mIoU=50.0,
        images=2,
        IoU=dict(bg=100.0, x=0.0),
        confusion=[[4, 0], [0, 1]],
    )
    (line,) = describe_scores(dict(seeds=dict(train=scores)))
    assert line.endswith('train 50.0 mIoU (2 images)')


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


def test_masks_of_an_earlier_run_are_not_scored(make_run, tmp_path):
    """A second round that the options no longer have leaves its folder."""
    run = make_run()
    for role in ('masks', 'masks_2'):
        path = run.folder / role / 'masks/0.png'
        path.parent.mkdir(parents=True)
        Image.fromarray(np.zeros((480, 640), np.uint8)).save(path)
    truth = run.data / 'truth/0.png'
    truth.parent.mkdir(parents=True)
    Image.fromarray(np.ones((480, 640), np.uint8)).save(truth)
    assert list(write_scores(run)) == ['masks']
    assert list(write_scores(make_run(rounds=2))) == ['masks', 'masks_2']
