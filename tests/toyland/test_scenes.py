import numpy as np
import pytest

from mmseg_weakclip.toyland.objects import CLASSES, USUAL_BACKGROUND
from mmseg_weakclip.toyland.scenes import SceneStyle, make_scene
from mmseg_weakclip.toyland.textures import BACKGROUNDS


@pytest.fixture(scope='module')
def scenes():
    return [make_scene(0, index) for index in range(400)]


def test_same_numbers_same_pixels(scenes):
    again = make_scene(0, 7)
    assert np.array_equal(again.image, scenes[7].image)
    assert np.array_equal(again.mask, scenes[7].mask)
    assert not np.array_equal(make_scene(1, 7).image, again.image)


def test_sizes(scenes):
    assert scenes[0].image.shape == (96, 96, 3)
    assert scenes[0].image.dtype == scenes[0].mask.dtype == np.uint8
    large = make_scene(0, 0, size=200)
    assert large.image.shape == (200, 200, 3)
    assert large.mask.shape == (200, 200)


def test_labels_are_the_mask(scenes):
    for scene in scenes:
        present = np.unique(scene.mask)
        assert tuple(present[present > 0] - 1) == scene.labels


def test_every_object_can_be_seen(scenes):
    for scene in scenes:
        areas = np.bincount(scene.mask.ravel(), minlength=9)[1:]
        assert (areas[list(scene.labels)] >= 30).all()


def test_composition(scenes):
    counts = np.bincount([len(s.labels) for s in scenes], minlength=4)
    assert counts[0] == 0
    assert np.allclose(counts[1:] / 400, [0.5, 0.35, 0.15], atol=0.07)
    seen = {label for scene in scenes for label in scene.labels}
    assert seen == set(range(len(CLASSES)))
    assert len(CLASSES) >= 8
    assert len(BACKGROUNDS) == 6


def test_co_occurrence(scenes):
    """70 % usual, and the other 30 % may fall on it by chance."""
    usual = [
        BACKGROUNDS[s.background] == USUAL_BACKGROUND[CLASSES[s.labels[0]]]
        for s in scenes
        if len(s.labels) == 1
    ]
    assert np.mean(usual) == pytest.approx(0.7 + 0.3 / 6, abs=0.08)


def test_no_class_is_known_by_its_colour(scenes):
    """The mean colour of a class varies more than between classes."""
    means = {label: [] for label in range(len(CLASSES))}
    for scene in scenes:
        for label in scene.labels:
            means[label].append(scene.image[scene.mask == label + 1].mean(0))
    within = np.mean([np.std(m, axis=0).mean() for m in means.values()])
    between = np.std([np.mean(m, axis=0) for m in means.values()], axis=0)
    assert within > between.mean()


def test_styles():
    empty = make_scene(0, 0, style=SceneStyle(counts=(1.0,)))
    assert empty.labels == ()
    assert (empty.mask == 0).all()
    large = SceneStyle(counts=(0.0, 1.0), radius=(0.4, 0.5))
    areas = [
        (make_scene(0, i, style=large).mask > 0).mean() for i in range(20)
    ]
    assert np.mean(areas) > 0.2


def test_scenery_alone_differs_from_noise():
    """Backgrounds are textures: each is more like itself than like others."""
    style = SceneStyle(counts=(1.0,))
    scenes = [make_scene(3, i, style=style) for i in range(120)]
    means = np.stack(
        [
            np.mean(
                [s.image.mean((0, 1)) for s in scenes if s.background == b], 0
            )
            for b in range(6)
        ]
    )
    right = [
        np.abs(means - s.image.mean((0, 1))).sum(1).argmin() == s.background
        for s in scenes
    ]
    assert np.mean(right) > 0.9
