"""Charts and painted masks, and the packages that draw the page."""

import base64
import io
import sys

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.report import gallery, page
from mmseg_weakclip.apps.report.charts import training_chart
from mmseg_weakclip.apps.report.compare import compare_image
from mmseg_weakclip.apps.report.curves import Curve, Training
from mmseg_weakclip.apps.report.score_charts import (
    confusion_chart,
    ious_charts,
)
from mmseg_weakclip.apps.run_folder.schema import RunClass, SplitScores
from mmseg_weakclip.apps.run_folder.store import read_run


@pytest.mark.parametrize('count', [3, 81])
def test_charts_of_few_and_many_classes(count):
    names = [f'class {k}' for k in range(count)]
    confusion = np.eye(count, dtype=int) * 9 + 1
    scores = SplitScores(1, 5.0, (*range(count - 1), None), confusion)
    charts = ious_charts(names, {'seeds': scores}, 'bars')
    assert len(charts) == {3: 1, 81: 2}[count]
    text = ''.join(charts)
    # The best first; a class without pixels has no bar.
    assert f'>class {count - 1}<' not in text
    places = [text.index(f'>class {k}<') for k in range(count - 1)]
    assert places == sorted(places, reverse=True)
    chart = confusion_chart(names, confusion, 'matrix')
    assert all(chart.count(f'>{name}<') == 2 for name in names)
    assert ('>83<' in chart) == (count == 3)  # 10 of 12 pixels
    assert len(chart) < 120_000
    assert 'DejaVu' not in chart
    assert 'http' not in chart


@pytest.mark.parametrize(
    'values', [(), (1.0,), (2.0, 0.5), (1.0, -1.0), (0.0, 0.0)]
)
def test_trainings_with_little_or_odd_values(values):
    curve = Curve(tuple(range(len(values))), values, 3)
    nothing = Curve((), ())
    training = Training('x', {'loss': curve}, nothing, 'iteration')
    chart = training_chart(training, 'curve')
    assert '>iteration<' in chart
    assert '>mIoU, %<' not in chart
    # Numbers a reader can read, not mathtext.
    assert '$' not in chart


def test_pixels_without_a_class_are_white():
    classes = [RunClass('x', 'x', (0, 0, 0)), RunClass('y', 'y', (1, 2, 3))]
    mask = np.array([[0, 1, 255]], np.uint8)
    picture = gallery.paint(mask, classes, (1, 3)).convert('RGB')
    expected = [[0, 0, 0], [1, 2, 3], [255, 255, 255]]
    assert np.asarray(picture)[0].tolist() == expected


def test_legends_are_sorted_by_area():
    shares = np.array([0.2, 0, 0.3, 0.1, 0.3])
    ranked = gallery.rank_classes(shares)
    assert ranked == ((2, 0.3), (4, 0.3), (0, 0.2), (3, 0.1))


def test_large_images_are_shrunk(run_folder, edit):
    pixels = np.zeros((900, 1600, 3), np.uint8)
    Image.fromarray(pixels).save(run_folder / 'data/images/d.jpg')
    mask = Image.fromarray(np.repeat(np.uint8([[1], [0]]), 450, 0)).resize(
        (1600, 900)
    )
    mask.save(run_folder / 'predictions/masks/d.png')
    edit('data/index.json', lambda v: v[3].update(width=1600, height=900))
    run = read_run(run_folder)
    large = compare_image(run, run.images[3])
    for side, size in ((640, (640, 360)), (360, (360, 202))):
        card = gallery.make_card(run, large, ['predictions'], side)
        photo, painted = (
            Image.open(io.BytesIO(base64.b64decode(data.split(',')[1])))
            for data in (card.photo, card.pictures[0].data)
        )
        assert photo.size == painted.size == size
        colors = np.asarray(painted.convert('RGBA'))
        assert colors[0, 0].tolist() == [255, 0, 0, 255]
        assert colors[-1, -1, 3] == 0
        assert card.pictures[0].legend == ((0, 0.5), (1, 0.5))


def test_missing_packages_are_named(finished_run, monkeypatch):
    report = page.read_report(read_run(finished_run), images=1)
    for module, name in (('jinja2', 'jinja2'), ('matplotlib', 'matplotlib')):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            message = rf'needs {name}: .*\[report\]'
            with pytest.raises(ImportError, match=message):
                page.render(report)
