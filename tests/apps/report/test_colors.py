"""Colours of classes that meet: differences by hand, and the constraint."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.report.colors import (
    LEAST_DIFFERENCE,
    WHITE,
    color_difference,
    meeting_classes,
    recolor,
    separate_colors,
    to_lab,
)
from mmseg_weakclip.apps.report.compare import Comparison
from mmseg_weakclip.apps.report.page import write_report
from mmseg_weakclip.apps.run_folder.schema import RunClass, RunImage
from mmseg_weakclip.apps.run_folder.store import RunFolder
from mmseg_weakclip.common.masks import encode_mask, label_colors


@pytest.mark.parametrize(
    ('rgb', 'lab'),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        # Lindbloom's values for the primaries.
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
    ],
)
def test_lab(rgb, lab):
    assert to_lab(np.array(rgb)) == pytest.approx(lab, abs=0.01)


@pytest.mark.parametrize(
    ('first', 'second', 'difference'),
    [
        # Sharma, Wu and Dalal, table 1: pairs 1, 7, 9, 12, 17, 25 and 34.
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, 2.49, -0.001), (50, -2.49, 0.0012), 7.2195),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_difference(first, second, difference):
    first, second = np.array(first), np.array(second)
    found = color_difference(first, second)
    assert found == pytest.approx(difference, abs=1e-4)
    assert color_difference(second, first) == pytest.approx(found)
    assert color_difference(first, first) == 0


def test_meeting():
    meet = meeting_classes([{0, 1}, {2}, {1, 3}], 4)
    assert np.argwhere(meet).tolist() == [[0, 1], [1, 0], [1, 3], [3, 1]]


def least_difference(colors, meet) -> float:
    lab = to_lab(np.array(colors))
    return color_difference(lab[:, None], lab[None])[meet].min()


def test_only_classes_that_meet_are_moved():
    red, near = (200, 0, 0), (205, 0, 0)
    apart = separate_colors([(0, 0, 0), red, near], {0}, np.eye(3) == 2)
    assert apart.colors == ((0, 0, 0), red, near)
    assert apart.moved == apart.close == ()
    meet = ~np.eye(3, dtype=bool)
    moved = separate_colors([(0, 0, 0), red, near], {0}, meet)
    assert moved.moved == (2,)
    assert moved.colors[1] == red
    assert least_difference(moved.colors, meet) >= LEAST_DIFFERENCE


def test_colors_of_users_stay_and_others_give_way():
    red, near = (200, 0, 0), (205, 0, 0)
    meet = ~np.eye(4, dtype=bool)
    colors = [(0, 0, 0), red, near, (0, 0, 200)]
    found = separate_colors(colors, {0, 2}, meet)
    assert found.moved == (1,)
    assert found.colors[2] == near
    # Two colours of the user cannot be helped, only named.
    both = separate_colors(colors, {0, 1, 2}, meet)
    assert both.colors == tuple(colors)
    (pair,) = both.close
    assert pair[:2] == (1, 2)
    assert 0 < pair[2] < 2


def test_no_class_looks_like_no_class():
    found = separate_colors([(0, 0, 0), (250, 250, 250)], {0}, np.eye(2) == 2)
    assert found.moved == (1,)
    difference = color_difference(*to_lab(np.array([found.colors[1], WHITE])))
    assert difference >= LEAST_DIFFERENCE


@pytest.mark.parametrize('chosen', [0, 5, 20, 40])
def test_sixty_classes_that_all_meet(chosen):
    colors = [tuple(color) for color in label_colors(61)]
    rng = np.random.default_rng(chosen)
    ids = (1 + rng.choice(60, chosen, replace=False)).tolist()
    for k in ids:
        colors[k] = tuple(rng.integers(0, 256, 3).tolist())
    meet = ~np.eye(61, dtype=bool)
    fixed = {0, *ids}
    found = separate_colors(colors, fixed, meet)
    assert all(found.colors[k] == colors[k] for k in fixed)
    # Only colours of the user may be close to each other.
    assert all({i, j} <= fixed for i, j, _ in found.close)
    meet[np.ix_(list(fixed), list(fixed))] = False
    assert least_difference(found.colors, meet) >= LEAST_DIFFERENCE


def make_run(colors) -> RunFolder:
    classes = tuple(RunClass(f'c{k}', '', c) for k, c in enumerate(colors))
    return RunFolder(None, {}, {}, (), (), classes)


def image(*labels: str) -> RunImage:
    return RunImage('a', '', '', (1, 1), (1, 1), 'train', labels, None)


def test_labels_and_all_masks_count_as_meeting():
    colors = [tuple(color) for color in label_colors(4)]
    # The package gives dark red, dark green and dark yellow.
    colors[2] = (130, 2, 0)
    run = make_run(colors)
    cover = {'seeds': np.array([0.5, 0.5, 0, 0])}
    comparison = Comparison(image('c2'), {}, frozenset(), cover)
    shown, palette = recolor(run, [comparison])
    assert palette.moved == (1,)
    assert shown.classes[2].color == (130, 2, 0)
    # The user may choose the package's own colour.
    own = replace(run.classes[1], own_color=True)
    kept = replace(run, classes=(run.classes[0], own, *run.classes[2:]))
    shown, palette = recolor(kept, [comparison])
    assert palette.moved == ()
    assert len(palette.close) == 1
    apart = replace(comparison, image=image('c3'))
    assert recolor(run, [apart])[1].moved == ()


def test_a_run_of_sixty_classes(run_folder, edit):
    """Two of its colours are the user's, and differ by little."""
    colors = [list(color) for color in label_colors(61)]
    colors[7], colors[8] = [250, 120, 10], [250, 126, 14]
    names = [f'class {k}' for k in range(61)]
    rng = np.random.default_rng(0)
    painted = [k for k in range(61) if k not in (7, 8)]
    met = {'a': {7, 8}}
    for path in sorted(run_folder.glob('*/masks/*.png')):
        mask = rng.choice(painted, np.asarray(Image.open(path)).shape)
        path.write_bytes(encode_mask(mask, colors))
        met.setdefault(path.stem, set()).update(np.unique(mask).tolist())

    def change(images):
        for record in images:
            record.update(labels=[], truth=None)
        images[0]['labels'] = ['class 7', 'class 8']

    (run_folder / 'scores.json').unlink()
    edit('data/index.json', change)
    path = run_folder / 'data/classes.json'
    path.write_text(
        json.dumps([dict(name=n, color=c) for n, c in zip(names, colors)])
    )
    page = write_report(run_folder).read_text()
    shown = re.findall(r'background: #(\w{6})"></span>(class \d+)\n? *<', page)
    found = {name: bytes.fromhex(color) for color, name in shown}
    assert len(found) == 61
    assert list(found['class 7']) == colors[7]
    assert list(found['class 8']) == colors[8]
    lab = to_lab(np.array([list(found[name]) for name in names]))
    for ids in met.values():
        meet = meeting_classes([ids], 61)
        meet[7, 8] = meet[8, 7] = False
        assert color_difference(lab[:, None], lab[None])[meet].min() >= 12
    assert 'differ by less than 12 (CIEDE2000): class 7 and class 8 (' in page
