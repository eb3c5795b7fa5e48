import numpy as np
import pytest
import torch

from mmseg_weakclip.apps.wsss.outside.score_maps import ScoreMaps
from mmseg_weakclip.apps.wsss.outside.source import MaskFile
from mmseg_weakclip.pseudo_masks.store import save_scores

NAMES = ('cat', 'dog')


@pytest.fixture
def read(tmp_path):
    path = tmp_path / 'a.npz'

    def call(arrays=None, threshold=0.5, allowed=(1, 2)):
        if arrays is not None:
            np.savez(path, **arrays)
        files = {'a.jpg': (MaskFile(path),)}
        masks = ScoreMaps(tmp_path, NAMES, (), files, threshold)
        return masks.read('a.jpg', [(1, 3)], allowed).tolist()

    return call


MAPS = np.array([[[0.9, 0.3, 0.6]], [[0.1, 0.4, 0.8]]], np.float32)


def test_the_highest_score_above_the_threshold(read):
    arrays = dict(scores=MAPS, classes=np.array(['dog', 'Cat']))
    assert read(arrays) == [[2, 0, 1]]
    assert read(arrays, 0.35) == [[2, 1, 1]]
    assert read(dict(scores=MAPS, classes=[2, 1])) == [[2, 0, 1]]
    # A score at the threshold is background.
    assert read(dict(scores=np.full((1, 1, 3), 0.5), classes=[1])) == [[0] * 3]


def test_scores_of_the_background(read):
    """No threshold then, however low the scores are."""
    arrays = dict(scores=MAPS / 4, classes=np.array(['background', 'cat']))
    assert read(arrays) == [[0, 1, 1]]
    assert read(dict(arrays, classes=[0, 1])) == [[0, 1, 1]]


def test_class_maps_of_this_package(read, tmp_path):
    save_scores(tmp_path / 'a.npz', torch.from_numpy(MAPS), [2, 1], 1)
    assert read() == [[2, 0, 1]]


def test_floats_with_a_size_are_no_bytes(read):
    arrays = dict(scores=MAPS, classes=[2, 1], size=np.array([1, 3]))
    assert read(arrays) == [[2, 0, 1]]


def test_classes_of_the_image_come_first(read):
    """Another class counts only where they leave the background."""
    arrays = dict(scores=MAPS, classes=[2, 1])
    assert read(arrays, allowed=(2,)) == [[2, 0, 2]]
    assert read(arrays, allowed=(1,)) == [[2, 0, 1]]
    assert read(arrays, allowed=()) == [[2, 0, 1]]
    ranked = np.array([[[0.2]], [[0.9]], [[0.3]]]).repeat(3, 2)
    arrays = dict(scores=ranked, classes=[0, 1, 2])
    assert read(arrays, allowed=(2,)) == [[2, 2, 2]]


def test_a_photo_in_which_nothing_was_found(read):
    arrays = dict(
        scores=np.zeros((0, 1, 3), np.float32), classes=np.zeros(0, int)
    )
    assert read(arrays) == [[0, 0, 0]]


@pytest.mark.parametrize(
    ('arrays', 'said'),
    [
        (dict(scores=MAPS[:, :0], classes=[1, 2]), 'have no pixel'),
        (dict(scores=MAPS), 'a.npz lacks classes'),
        (dict(scores=MAPS * 4, classes=[1, 2]), r'floats in \[0, 1\].*logits'),
        (dict(scores=MAPS, classes=[1]), r'\(2, 1, 3\).*do not fit'),
        (dict(scores=MAPS, classes=[1, 3]), r'class 3; known are 0 .* to 2'),
        (dict(scores=MAPS, classes=['cat', 'wolf']), "class 'wolf'; known"),
        (dict(scores=MAPS[..., :2], classes=[1, 2]), 'a.npz is 1 x 2'),
    ],
)
def test_other_files(read, arrays, said):
    with pytest.raises(ValueError, match=said):
        read(arrays)


def test_damaged_files(read, tmp_path):
    (tmp_path / 'a.npz').write_bytes(b'PK\x03\x04x')
    with pytest.raises(ValueError, match='a.npz is no npz of arrays'):
        read()
