"""Images that need a look, by hand, and the list as CSV."""

import base64
import csv
import io
import re

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.report import page
from mmseg_weakclip.apps.report.compare import Comparison, compare_images
from mmseg_weakclip.apps.report.looks import (
    CSV_COLUMNS,
    find_looks,
    ids_in_turn,
    to_csv,
)
from mmseg_weakclip.apps.report.page import write_report
from mmseg_weakclip.apps.run_folder.schema import RunImage
from mmseg_weakclip.apps.run_folder.store import read_run

NAMES = ['background', 'dog', 'cat']


def comparison(name='a', labels=('dog',), shares=None, **cover) -> Comparison:
    image = RunImage(name, f'{name}.jpg', '', (1, 1), (1, 1), 'train',
                     tuple(labels), None)  # fmt: skip
    masks = {role: np.array(shares) for role, shares in cover.items()}
    return Comparison(image, shares or {}, frozenset(), masks)


def rows(found) -> dict[str, list[tuple]]:
    return {
        kind: [(f.image.id, f.reason, f.name, f.share) for f in findings]
        for kind, findings in found.items()
        if findings
    }


def test_the_two_that_disagree_most():
    first = comparison(
        'a',
        shares={
            ('masks', 'predictions'): 0.3,
            ('seeds', 'masks'): 0.4,
            # More, but not to be told here.
            ('predictions', 'truth'): 0.9,
        },
    )
    second = comparison('b', shares={('seeds', 'predictions'): 0.6})
    agreeing = comparison('c', shares={('seeds', 'masks'): 0.09})
    scored = comparison('d', shares={('masks', 'truth'): 1.0})
    found = find_looks([first, second, agreeing, scored], NAMES)
    assert rows(found) == {
        'disagree': [
            ('b', 'seed and prediction disagree', '', 0.6),
            ('a', 'seed and pseudo mask disagree', '', 0.4),
        ]
    }


def test_predicted_classes_that_the_tags_deny():
    found = find_looks(
        [
            comparison('a', predictions=[0.5, 0.2, 0.3]),
            comparison('b', predictions=[0.9, 0.09, 0.009]),
            comparison('c', ['cat', 'dog'], predictions=[0.5, 0.2, 0.3]),
            # Without tags nothing is denied; of seeds nothing is asked.
            comparison('d', [], predictions=[0.5, 0.2, 0.3]),
            comparison('e', ['dog'], seeds=[0.5, 0.2, 0.3]),
        ],
        NAMES,
    )
    assert rows(found) == {
        'denied': [('a', 'predicted but not tagged', 'cat', 0.3)]
    }


def test_tags_that_no_mask_shows():
    found = find_looks(
        [
            comparison('a', ['dog'], seeds=[1, 0.0004, 0], masks=[1, 0, 0]),
            comparison('b', ['dog', 'cat'], predictions=[1, 0, 0]),
            comparison('c', ['dog'], seeds=[1, 0, 0], masks=[0.9, 0.1, 0]),
            # Shown by the ground truth alone, which does not count.
            comparison('d', ['dog'], masks=[1, 0, 0], truth=[0, 1, 0]),
            comparison('e', ['dog'], truth=[1, 0, 0]),
            comparison('f', ['dog']),
            # The CRF took it away, and the segmenter learns background.
            comparison('g', ['dog'], seeds=[0.5, 0.5, 0], masks=[1, 0, 0]),
            # The second round found it.
            comparison('h', ['dog'], masks=[1, 0, 0], masks_2=[0.5, 0.5, 0]),
        ],
        NAMES,
    )
    reason = 'tagged but in no mask'
    assert rows(found) == {
        'unseen': [
            ('b', reason, 'cat', 0),
            ('b', reason, 'dog', 0),
            ('d', reason, 'dog', 0),
            ('g', 'tagged but not in the pseudo mask', 'dog', 0),
            ('a', reason, 'dog', 0.0004),
        ]
    }
    assert ids_in_turn(found) == ['b', 'd', 'g', 'a']


def test_kinds_take_turns():
    found = find_looks(
        [
            comparison('a', shares={('seeds', 'masks'): 0.9}),
            comparison('b', shares={('seeds', 'masks'): 0.8}),
            comparison('c', ['dog'], predictions=[0.5, 0.2, 0.3]),
            comparison('d', ['dog'], masks=[1, 0, 0]),
        ],
        NAMES,
    )
    assert ids_in_turn(found) == ['a', 'c', 'd', 'b']


def test_the_list_as_csv():
    shares = {('seeds', 'predictions'): 0.25}
    odd = comparison('x, "y"', ['dog', 'cat'], shares, predictions=[1, 0, 0])
    text = to_csv(find_looks([odd], NAMES))
    assert list(csv.reader(io.StringIO(text))) == [
        ['image', 'tags', 'reason', 'class', 'share'],
        ['x, "y".jpg', 'dog;cat', 'seed and prediction disagree', '',
         '0.2500'],
        ['x, "y".jpg', 'dog;cat', 'tagged but in no mask', 'cat', '0.0000'],
        ['x, "y".jpg', 'dog;cat', 'tagged but in no mask', 'dog', '0.0000'],
    ]  # fmt: skip
    assert to_csv(find_looks([], NAMES)) == ','.join(CSV_COLUMNS) + '\n'


def test_a_whole_run(finished_run):
    run = read_run(finished_run)
    found = find_looks(compare_images(run), run.names)
    disagree = [(f.image.id, f.share) for f in found['disagree']]
    # b: two of three rows; c: two of six; a: one of four.
    assert disagree == [('b', 2 / 3), ('c', 2 / 6), ('a', 1 / 4)]
    assert found['denied'] == found['unseen'] == []


def test_ground_truth_changes_nothing(run_folder):
    path = write_report(run_folder)
    before = path.with_name('needs_a_look.csv').read_bytes()
    for truth in (run_folder / 'data/truth').glob('*.png'):
        mask = np.asarray(Image.open(truth))
        Image.fromarray(np.full_like(mask, 2)).save(truth)
    write_report(run_folder)
    assert path.with_name('needs_a_look.csv').read_bytes() == before


def test_the_page_holds_the_strongest_rows(run_folder, monkeypatch):
    """It must not grow with the run; the file beside it has all rows."""
    monkeypatch.setattr(page, 'PAGE_ROWS', 2)
    path = write_report(run_folder)
    text = path.read_text()
    assert 'the 2 strongest of 3 rows; all are in needs_a_look.csv' in text
    held = re.search(r'base64,([\w+/=]+)">Save the list', text)[1]
    lines = base64.b64decode(held).decode().splitlines()
    kept = path.with_name('needs_a_look.csv').read_text().splitlines()
    assert len(kept) == 4
    assert lines == kept[:3]


@pytest.mark.parametrize('stages', [0, 1])
def test_runs_with_no_two_masks(run_folder, stop_after, stages):
    stop_after(stages)
    # That of a longer run is not left behind.
    (run_folder / 'needs_a_look.csv').write_text('old')
    write_report(run_folder)
    text = (run_folder / 'needs_a_look.csv').read_text()
    assert text == 'image,tags,reason,class,share\n'


def test_seeds_alone_can_miss_a_tag(run_folder, stop_after, edit):
    stop_after(1)
    name = read_run(run_folder).names[2]
    edit('data/index.json', lambda v: v[0]['labels'].append(name))
    write_report(run_folder)
    text = (run_folder / 'needs_a_look.csv').read_text()
    (row,) = list(csv.DictReader(io.StringIO(text)))
    assert row['image'] == '/photos/a.tif'
    assert row['class'] == name
    assert row['share'] == '0.0000'
