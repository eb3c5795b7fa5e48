"""The page as HTML: what stands in it, and that nothing else can."""

import base64
import io
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.report import gallery, page
from mmseg_weakclip.apps.report.charts import training_chart
from mmseg_weakclip.apps.report.compare import compare_images
from mmseg_weakclip.apps.report.curves import Curve, Training
from mmseg_weakclip.apps.report.page import write_report
from mmseg_weakclip.apps.report.score_charts import (
    confusion_chart,
    ious_charts,
)
from mmseg_weakclip.apps.run_folder.schema import RunClass, SplitScores
from mmseg_weakclip.apps.run_folder.store import read_run

VOID = {'meta', 'link', 'img', 'input', 'br'}


class Reader(HTMLParser):
    """Elements as (name, attributes); the text; tags that don't match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements, self.open, self.wrong = [], [], []
        self.words, self.drawn = [], []  # all text, and that of charts
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if not {'script', 'style'} & set(self.open):
            self.words.append(data)
            self.drawn += [data] * ('svg' in self.open)

    @property
    def text(self) -> str:
        return ' '.join(' '.join(self.words).split())

    def all(self, tag, **attributes):
        return [
            found
            for name, found in self.elements
            if name == tag
            and all(found.get(k) == v for k, v in attributes.items())
        ]


def read(path) -> Reader:
    reader = Reader(path.read_text())
    assert not reader.wrong
    assert not reader.open
    return reader


@pytest.fixture(scope='module')
def whole(finished_run, tmp_path_factory) -> Reader:
    path = tmp_path_factory.mktemp('page') / 'page.html'
    assert write_report(finished_run, path=path) == path
    return read(path)


def test_the_parts(whole):
    text = whole.text
    assert 'random <i>CLIP</i> weights: numbers mean nothing' in text
    assert 'All 4 images.' in text
    assert '1 of 4 were resized for the run' in text
    assert 'seed train 1 55.00' in text
    assert 'wrote this page' in text
    assert "python tools/test.py 'seeds it' --amp" in text
    assert '1.2 GiB' in text
    assert '{"iterations": 10}' in text
    charts = [a['aria-label'] for a in whole.all('svg')]
    assert any(label.startswith('Bars: IoU') for label in charts)
    assert 'Curves of Segmenter: loss from 4 to 2, mIoU at last 40.5 %' in (
        charts
    )
    assert sum(label.startswith('Confusion') for label in charts) == 3


def test_cards_come_with_their_numbers(whole):
    cards = {a['data-name']: a for a in whole.all('article')}
    assert list(cards) == ['a', 'b', 'c', 'd']
    assert cards['b']['data-masks-predictions'] == '0.666667'
    assert cards['c']['data-predictions-truth'] == '0.200000'
    assert 'data-masks-predictions' not in cards['c']
    assert cards['c']['data-classes'] == '0 1 2'
    assert cards['d']['data-split'] == 'unlabelled'
    alts = [a['alt'] for a in whole.all('img')]
    assert len(alts) == 4 + 3 + 2 + 4 + 2  # photos, masks, truth
    assert all(alts)
    name = read_name(whole)
    assert f'prediction of a: background 50 %, {name} 50 %' in alts
    assert any('no class 25 %' in alt for alt in alts)
    empty = [a['aria-label'] for a in whole.all('div', role='img')]
    assert 'no pseudo mask of c' in empty
    assert len(empty) == 5


def read_name(whole) -> str:
    (option,) = (w for w in whole.words if w.strip().endswith('"co" (2)'))
    return option.strip().removesuffix(' (2)')


def test_names_are_text_everywhere(whole):
    assert read_name(whole) == '<b>dog</b> & "co"'
    assert not whole.all('b')
    assert not whole.all('i')
    assert 'кошка $x$ 犬' in whole.text
    # In the charts, too; mathtext would have eaten the $.
    assert whole.drawn.count('кошка $x$ 犬') == 7
    assert whole.drawn.count('<b>dog</b> & "co"') == 8


def test_attributes_cannot_be_left(run_folder, edit):
    nasty = '"><img src=x onerror=alert(1)>'
    edit('data/classes.json', lambda v: v[1].update(name=nasty))
    edit('data/index.json', lambda v: [r.update(labels=[nasty]) for r in v])
    edit('data/index.json', lambda v: v[3].update(source=nasty))
    edit('manifest.json', lambda v: v['notes'].append('</script><script>'))
    edit('manifest.json', lambda v: v['options'].update({nasty: nasty}))
    edit('manifest.json', lambda v: v['stages'][0].update(title=nasty))
    edit('manifest.json', lambda v: v['stages'][2].update(title=nasty))
    edit('manifest.json', lambda v: v['stages'][1].update(command=[nasty]))

    def rename(scores):
        for splits in scores['roles'].values():
            for record in splits.values():
                names = list(record['IoU'])
                record['IoU'][nasty] = record['IoU'].pop(names[1])

    edit('scores.json', rename)
    found = read(write_report(run_folder))
    assert not [a for _, a in found.elements if 'onerror' in a]
    assert len(found.all('script')) == 1
    assert {a['src'][:5] for a in found.all('img')} == {'data:'}
    assert nasty in found.text


def test_nothing_comes_from_elsewhere(whole):
    for _, attributes in whole.elements:
        for key in ('src', 'href', 'xlink:href', 'action', 'data'):
            value = attributes.get(key, '#')
            assert value.startswith(('data:', '#')), (key, value)
    policy = whole.all('meta', **{'http-equiv': 'Content-Security-Policy'})
    assert "default-src 'none'" in policy[0]['content']


def test_ids_are_met_once(whole):
    ids = [a['id'] for _, a in whole.elements if a.get('id')]
    assert len(ids) == len(set(ids))
    known = set(ids)
    for _, attributes in whole.elements:
        for key in ('href', 'xlink:href'):
            target = attributes.get(key, '')
            if target.startswith('#'):
                assert target[1:] in known


@pytest.mark.parametrize('stages', [0, 1, 2, 3, 4])
def test_runs_that_ended_early(run_folder, stop_after, stages):
    stop_after(stages)
    found = read(write_report(run_folder))
    text = found.text
    assert f'{stages} of 5 stages finished' in text
    assert ('The run has no data yet.' in text) == (stages == 0)
    assert ('No images are shown.' in text) == (stages == 0)
    assert ('No training has logged' in text) == (stages < 3)
    assert 'The run has no scores yet.' in text
    titles = {w for w in found.words if w in ('seed', 'pseudo mask')}
    assert len(titles) == min(stages, 2)


def test_without_truth(run_folder, edit):
    edit('data/index.json', lambda v: [r.update(truth=None) for r in v])
    (run_folder / 'scores.json').unlink()
    found = read(write_report(run_folder))
    assert 'No image has a true mask, so there are no scores.' in found.text
    assert len(found.all('article')) == 4
    assert not [a for a in found.all('svg') if 'IoU' in a['aria-label'][:9]]
    assert not [w for w in found.words if w == 'truth']


def test_number_of_images(run_folder, monkeypatch):
    found = read(write_report(run_folder, images=2))
    assert '2 of 4 images' in found.text
    assert '2 are left out.' in found.text
    assert [a['data-name'] for a in found.all('article')] == ['a', 'b']
    found = read(write_report(run_folder, images=0))
    assert not found.all('article')
    run = read_run(run_folder)
    cards = gallery.make_gallery(run, compare_images(run), 9).cards
    room = cards[0].bytes + cards[1].bytes
    monkeypatch.setattr(gallery, 'MOST_BYTES', room)
    found = read(write_report(run_folder))
    assert len(found.all('article')) == 2
    assert '2 of them because the page would be too large' in found.text


def test_large_images_are_shrunk(run_folder, edit):
    pixels = np.zeros((900, 1600, 3), np.uint8)
    Image.fromarray(pixels).save(run_folder / 'data/images/d.jpg')
    mask = Image.fromarray(np.repeat(np.uint8([[1], [0]]), 450, 0)).resize(
        (1600, 900)
    )
    mask.save(run_folder / 'predictions/masks/d.png')
    edit('data/index.json', lambda v: v[3].update(width=1600, height=900))
    found = read(write_report(run_folder))
    photo, painted = (
        Image.open(io.BytesIO(base64.b64decode(a['src'].split(',')[1])))
        for a in found.all('img')
        if re.search(r'image d|prediction of d', a['alt'])
    )
    assert photo.size == painted.size == (360, 202)
    colors = np.asarray(painted.convert('RGBA'))
    assert colors[0, 0].tolist() == [255, 0, 0, 255]
    assert colors[-1, -1, 3] == 0


def test_pixels_without_a_class_are_white():
    classes = [RunClass('x', 'x', (0, 0, 0)), RunClass('y', 'y', (1, 2, 3))]
    mask = np.array([[0, 1, 255]], np.uint8)
    picture = gallery.paint(mask, classes, (1, 3)).convert('RGB')
    expected = [[0, 0, 0], [1, 2, 3], [255, 255, 255]]
    assert np.asarray(picture)[0].tolist() == expected


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


def test_missing_packages_are_named(finished_run, monkeypatch):
    run = read_run(finished_run)
    comparisons = compare_images(run)
    shown = gallery.make_gallery(run, comparisons, 1)
    for module, name in (('jinja2', 'jinja2'), ('matplotlib', 'matplotlib')):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            message = rf'needs {name}: .*\[report\]'
            with pytest.raises(ImportError, match=message):
                page.render(run, comparisons, shown, [])
