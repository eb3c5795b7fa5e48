"""The page as HTML: what stands in it, and that nothing else can."""

import base64
import json
import shlex
import shutil
from html.parser import HTMLParser

import pytest

from mmseg_weakclip.apps.report import gallery
from mmseg_weakclip.apps.report.compare import compare_images
from mmseg_weakclip.apps.report.page import write_report
from mmseg_weakclip.apps.run_folder.store import read_run

NAMES = ['background', '<b>dog</b> & "co"', 'кошка $x$ 犬']
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
    assert '4 of 4 images shown.' in text
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


def test_the_title_is_the_folder_and_the_day(run_folder, stop_after):
    found = read(write_report(run_folder))
    assert found.words.count('run · 2 January 2026') == 1
    assert 'run 2 January 2026' in found.text
    stop_after(0)
    found = read(write_report(run_folder))
    assert found.words.count('run') == 2  # title and heading, no day


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
    alt = f'prediction of /photos/a.tif: background 50 %, {name} 50 %'
    assert alt in alts
    assert any('no class 25 %' in alt for alt in alts)
    empty = [a['aria-label'] for a in whole.all('span', role='img')]
    assert 'no pseudo mask of /photos/c.tif' in empty
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
    assert f'{stages} of 5 stages finished' in found.text
    # Sections without content are left out, and so are the links to them.
    sections = ['summary', 'look', 'gallery', 'training', 'data']
    absent = {0: sections[1:], 1: ['look', 'training'], 2: ['training']}
    expected = [n for n in sections if n not in absent.get(stages, ())]
    expected += ['stages', 'settings']
    assert section_ids(found) == expected
    assert links(found) == expected
    layers = [a['value'] for a in found.all('input', name='layer')]
    roles = ['photo', 'seeds', 'masks', 'masks', 'predictions'][: stages + 1]
    roles = list(dict.fromkeys(roles))
    assert layers == ([*roles, 'truth'] if stages else [])


def section_ids(found) -> list[str]:
    return [a['id'] for a in found.all('section') if 'id' in a]


def links(found) -> list[str]:
    # The first skips the list; those to photos are not of the list.
    targets = [a['href'][1:] for a in found.all('a') if a['href'][0] == '#']
    return [name for name in targets[1:] if not name.startswith('photo-')]


def test_a_whole_page_has_all_sections(whole):
    expected = ['summary', 'look', 'gallery', 'scores', 'confusion']
    expected += ['training', 'data', 'stages', 'settings']
    assert section_ids(whole) == expected
    assert links(whole) == expected


def test_photos_without_any_mask(run_folder, stop_after, edit):
    stop_after(1)
    shutil.rmtree(run_folder / 'seeds')
    edit('manifest.json', lambda v: v['stages'][0].update(state='failed'))
    edit('data/index.json', lambda v: [r.update(truth=None) for r in v])
    found = read(write_report(run_folder))
    assert section_ids(found) == [
        'summary', 'gallery', 'data', 'stages', 'settings'
    ]  # fmt: skip
    assert len(found.all('img')) == 4
    assert not found.all('input', name='layer')


def test_no_settings_no_section(run_folder, edit):
    edit('manifest.json', lambda v: v.update(options={}))
    found = read(write_report(run_folder))
    assert 'settings' in section_ids(found)
    assert 'Options' not in found.words
    edit('manifest.json', lambda v: v.update(versions={}, stages=[]))
    sections = section_ids(read(write_report(run_folder)))
    assert sections[-1] == 'data'


def test_the_list_of_images_that_need_a_look(run_folder, edit):
    edit('data/index.json', lambda v: v[0].update(labels=NAMES[2:]))
    edit('manifest.json', lambda v: v['options'].update(labels='my tags.csv'))
    path = write_report(run_folder)
    found = read(path)
    rows = found.all('a', **{'data-card': 'photo-1'})
    assert [a['href'] for a in rows] == ['#photo-1'] * 3
    assert f'{NAMES[1]} predicted but not tagged; tags: {NAMES[2]}' in (
        found.text
    )
    assert f'{NAMES[2]} tagged but in no mask' in found.text
    assert 'pseudo mask and prediction disagree' in found.text
    assert 'correct it in my tags.csv , then run weakclip run' in found.text
    words = shlex.split(next(w for w in found.words if '--resume' in w))
    folder = str(run_folder.resolve())
    expected = ['weakclip', 'run', '--work-dir', folder, '--resume']
    assert words == expected
    # The button holds the file that lies beside the page.
    (button,) = found.all('a', download='needs_a_look.csv')
    kind, _, content = button['href'].partition(';base64,')
    assert kind == 'data:text/csv;charset=utf-8'
    beside = (run_folder / 'needs_a_look.csv').read_bytes()
    assert base64.b64decode(content) == beside
    assert '5 rows, as in needs_a_look.csv beside this page' in found.text
    assert beside.decode().count('\n') == 6


def test_a_folder_with_spaces_is_quoted(run_folder):
    odd = run_folder.rename(run_folder.with_name("it's <b>mine"))
    found = read(write_report(odd))
    assert shlex.quote(str(odd.resolve())) in found.text
    assert not found.all('b')


def test_photos_of_the_list_come_first(run_folder, edit):
    edit('data/index.json', lambda v: v[3].update(labels=NAMES[1:2]))
    (run_folder / 'seeds/masks/a.png').unlink()
    (run_folder / 'predictions/masks/a.png').unlink()
    found = read(write_report(run_folder, images=2))
    # b disagrees most, d has a tag that no mask shows.
    assert [a['data-name'] for a in found.all('article')] == ['b', 'd']
    # Those of c, which is not shown, have no link.
    assert '/photos/c.tif' in found.text
    names = [a['data-card'] for a in found.all('a') if 'data-card' in a]
    assert sorted(names) == ['photo-1', 'photo-2']
    # And without any gallery none has.
    found = read(write_report(run_folder, images=0))
    assert '/photos/b.tif' in found.text
    assert not [a for a in found.all('a') if 'data-card' in a]


def test_names_for_readers(run_folder, edit):
    edit('data/classes.json', lambda v: v[1].update(display='Hund'))
    found = read(write_report(run_folder))
    assert 'Hund (2)' in found.text
    # Tags to correct are written as the label file has them.
    text = (run_folder / 'needs_a_look.csv').read_text()
    assert 'Hund' not in text
    assert '<b>dog</b>' in text


def test_colors_of_the_user_that_are_close(run_folder, edit):
    edit('data/classes.json', lambda v: v[2].update(color=[250, 0, 0]))
    found = read(write_report(run_folder))
    warning = 'meet in a photo and differ by less than 12 (CIEDE2000): '
    assert f'{warning}{NAMES[1]} and {NAMES[2]} (' in found.text


def test_colors_of_the_package_that_are_close_are_moved(run_folder, edit):
    edit('data/classes.json', lambda v: v[1].update(color=[128, 0, 0]))
    edit('data/classes.json', lambda v: v[2].update(color=[130, 0, 0]))
    found = read(write_report(run_folder))
    assert 'differ by less than' not in found.text
    moved = f'another colour here than in the mask files: {NAMES[1]}.'
    assert moved in found.text
    swatches = {a['style'] for a in found.all('span', **{'class': 'swatch'})}
    assert 'background: #820000' in swatches
    assert 'background: #800000' not in swatches


def test_without_truth(run_folder, edit):
    edit('data/index.json', lambda v: [r.update(truth=None) for r in v])
    (run_folder / 'scores.json').unlink()
    found = read(write_report(run_folder))
    assert 'No image has a true mask, so nothing could be' in found.text
    assert 'scores' not in section_ids(found)
    assert len(found.all('article')) == 4
    assert not [a for a in found.all('svg') if 'IoU' in a['aria-label'][:9]]
    assert not [w for w in found.words if w == 'ground truth']
    assert not found.all('input', value='truth')


def test_number_of_images(run_folder, monkeypatch):
    found = read(write_report(run_folder, images=2))
    assert '2 of 4 images shown: those that need a look' in found.text
    assert [a['data-name'] for a in found.all('article')] == ['b', 'c']
    found = read(write_report(run_folder, images=0))
    assert 'gallery' not in section_ids(found)
    assert not found.all('article')
    run = read_run(run_folder)
    cards = gallery.make_gallery(run, compare_images(run), 9).cards
    room = cards[1].bytes + cards[2].bytes
    monkeypatch.setattr(gallery, 'MOST_BYTES', room)
    found = read(write_report(run_folder))
    assert len(found.all('article')) == 2
    too_large = '2 more would make the page too large.'
    assert f'2 of 4 images shown; {too_large}' in found.text


GIVEN = dict(
    path='/m', title='PNGs with an id per pixel', rest='background',
    images=3, labelled=0.5, missing=['a.tif'], left_out=['a.tif'],
    vetoed={'<i>wolf': dict(pixels=12, images=['a', 'b', 'c', 'd'])},
    absent={NAMES[1]: dict(images=['b.tif'], of=2)},
)  # fmt: skip
CASES = dict(
    both_right=701, same_wrong=702, method_right=703, outside_right=704,
    both_wrong=705,
)  # fmt: skip


def test_given_masks(run_folder, add_stage):
    """Findings, and which masks were right; markup in names is text."""
    assert 'Given masks' not in read(write_report(run_folder)).text
    add_stage('outside', seeds='/m')
    (run_folder / 'outside_masks.json').write_text(json.dumps(GIVEN))
    page = read(write_report(run_folder))
    assert '2 of 3 labelled images have a mask in /m , read' in page.text
    assert '<i>wolf 4 12 a, b, c, …' in page.text
    assert f'{NAMES[1]} 1 2 b.tif' in page.text
    assert 'Without a mask: 1 (a.tif)' in page.text
    assert 'Joined with the method' not in page.text
    assert not page.all('i')
    joined = dict(images=3, labelled=0.25, left_out=[], truth=dict(
        images=2, mIoU=dict(method=51.2, outside=62.3, joined=40.4),
        classes={NAMES[1]: CASES},
    ))  # fmt: skip
    add_stage('joined')
    (run_folder / 'joined_masks.json').write_text(json.dumps(joined))
    page = read(write_report(run_folder))
    assert 'agree on 25 % of the pixels of 3 images' in page.text
    assert 'method 51.2, given masks 62.3, joined 40.4' in page.text
    assert '701 702 703 704 705' in page.text
