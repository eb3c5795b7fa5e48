"""Disagreement, choice of images, confusions and sentences, by hand."""

import numpy as np
import pytest

from mmseg_weakclip.apps.report.compare import (
    Comparison,
    choose,
    compare_images,
    disagreement,
    pairs_of,
    rank,
)
from mmseg_weakclip.apps.report.confusions import (
    find_confusions,
    normalize_rows,
)
from mmseg_weakclip.apps.report.summary import (
    count_data,
    duration,
    percent,
    run_date,
    summarize,
)
from mmseg_weakclip.apps.run_folder.schema import RunImage
from mmseg_weakclip.apps.run_folder.store import read_run

REFINED = ('masks', 'predictions')
SCORED = ('predictions', 'truth')


def test_disagreement():
    first = np.array([[0, 1, 2, 255], [1, 1, 0, 255]])
    second = np.array([[0, 2, 2, 1], [1, 255, 1, 255]])
    # Of the five pixels with two classes, the second and the last differ.
    assert disagreement(first, second) == 2 / 5
    assert disagreement(second, first) == 2 / 5
    assert disagreement(first, first) == 0
    assert disagreement(first[:, 3:], second[:, 3:]) is None


def test_comparisons(finished_run):
    found = {c.image.id: c for c in compare_images(read_run(finished_run))}
    # a: one of four rows. b: the pseudo mask has no class in one row, and
    # differs in two of the other three.
    assert found['a'].shares[REFINED] == 1 / 4
    assert found['b'].shares[REFINED] == 2 / 3
    # c: truth ignores a row; of the other five, one differs.
    assert found['c'].shares[SCORED] == 1 / 5
    assert REFINED not in found['c'].shares
    assert found['d'].shares == {}
    assert [c.image.id for c in rank(list(found.values()), REFINED)] == [
        'b',
        'a',
    ]
    assert [c.image.id for c in rank(list(found.values()), SCORED)] == [
        'a',
        'c',
    ]
    assert pairs_of(list(found.values())) == [
        REFINED,
        ('seeds', 'masks'),
        ('seeds', 'predictions'),
        SCORED,
        ('masks', 'truth'),
        ('seeds', 'truth'),
    ]
    # b: a quarter of the pseudo mask has no class.
    assert found['b'].cover['masks'].tolist() == [0, 0, 0.75]
    assert found['c'].cover['truth'].tolist() == [1 / 6, 1 / 3, 1 / 3]
    assert list(found['d'].cover) == ['predictions']
    assert found['c'].classes == {0, 1, 2}
    assert found['d'].classes == {0}


def comparison(image_id: str, split: str, **shares: float) -> Comparison:
    image = RunImage(image_id, '', '', (1, 1), (1, 1), split, (), None)
    pairs = {'refined': REFINED, 'scored': SCORED}
    return Comparison(
        image, {pairs[k]: v for k, v in shares.items()}, frozenset()
    )


def test_choice():
    comparisons = [
        comparison(f't{place}', 'train', refined=place / 100)
        for place in range(20)
    ]
    comparisons += [
        comparison(f'v{place}', 'val', refined=0.0, scored=place / 10)
        for place in range(4)
    ]
    chosen, worst = choose(comparisons, 9)
    ids = [c.image.id for c in chosen]
    assert worst == 6
    # In turn: refined on train and on val, scored on val.
    assert ids[:6] == ['t19', 'v0', 'v3', 't18', 'v1', 'v2']
    # The others from the first to the last of the rest.
    assert ids[6] == 't0'
    assert ids[8] == 't17'
    assert len(set(ids)) == 9
    # Those wanted come first, and are all there.
    chosen, worst = choose(comparisons, 9, ['t3', 't19'])
    assert worst == 6
    ids = [c.image.id for c in chosen]
    assert ids[:6] == ['t3', 't19', 'v0', 'v3', 't18', 'v1']
    wanted = [f't{place}' for place in range(8)]
    chosen, worst = choose(comparisons, 9, wanted)
    assert worst == 8
    assert [c.image.id for c in chosen[:8]] == wanted
    chosen, worst = choose(comparisons, 3, wanted)
    assert [c.image.id for c in chosen] == wanted[:3]
    everything, worst = choose(comparisons, 24)
    assert everything == comparisons
    everything, worst = choose(comparisons, 24, ['v3', 't3'])
    assert [c.image.id for c in everything[:3]] == ['v3', 't3', 't0']
    assert len(everything) == worst == 24
    assert choose(comparisons, 0) == ([], 0)
    unscored = [comparison(str(place), 'train') for place in range(9)]
    chosen, worst = choose(unscored, 3)
    assert worst == 0
    assert [c.image.id for c in chosen] == ['0', '4', '8']


def test_confusions():
    confusion = np.array([[10, 2, 0], [6, 12, 2], [0, 0, 0]])
    shares = normalize_rows(confusion)
    assert shares[1].tolist() == [0.3, 0.6, 0.1]
    assert np.isnan(shares[2]).all()
    found = find_confusions(confusion, 2)
    assert found[0] == (1, 0, 6, 0.3)
    assert found[1] == (0, 1, 2, pytest.approx(1 / 6))
    assert len(find_confusions(confusion, 9)) == 3


def test_data(finished_run):
    data = count_data(read_run(finished_run))
    assert data.splits['train'] == (2, 1, 0)
    assert data.splits['val'] == (1, 1, 0)
    assert data.splits['unlabelled'] == (1, 0, 1)
    assert data.per_class[1] == {'train': 1, 'val': 1, 'unlabelled': 0}
    # Sources: 4 x 6, 8 x 12, 6 x 4 and 4 x 6; only b was resized.
    assert data.sizes == ((4, 6), (6, 4), (8, 12))
    assert data.resized == 1


def test_sentences(finished_run):
    run = read_run(finished_run)
    text = ' '.join(summarize(run, compare_images(run)))
    assert (
        '4 images of 2 classes and background (2 train, 1 val, 1 unlabelled)'
        in text
    )
    assert 'method weakclip' in text
    # The stage that writes the page does not count as unfinished.
    assert 'All 5 stages before this report finished, in 5 min.' in text
    assert 'on train seed 55.0, prediction 75.0; on val prediction' in text
    assert f'prediction on val: {run.names[1]} (30.2)' in text
    assert f'{run.names[1]}, of which 30 % is taken for background' in text
    assert (
        'Pseudo mask and prediction disagree on 45.8 % of the pixels on '
        'average, and most in /photos/b.tif (67 %).' in text
    )


def test_sentences_of_unfinished_runs(run_folder, stop_after, edit):
    stop_after(2)
    run = read_run(run_folder)
    text = ' '.join(summarize(run, compare_images(run)))
    assert '2 of 5 stages finished' in text
    assert 'waiting: Segmenter, Predictions, Scores' in text
    assert '2 images with a true mask, not scored yet' in text
    # Where to look is never said by the ground truth.
    assert 'Seed and pseudo mask disagree on' in text
    edit('data/index.json', lambda v: [r.update(truth=None) for r in v])
    run = read_run(run_folder)
    text = ' '.join(summarize(run, compare_images(run)))
    assert 'No image has a true mask' in text
    assert 'Seed and pseudo mask disagree on' in text
    stop_after(0)
    text = ' '.join(summarize(read_run(run_folder), []))
    assert 'ended before its data was ready' in text


def test_durations():
    assert duration(3.25) == '3.2 s'
    assert duration(59.4) == '59 s'
    assert duration(59.9) == '1 min'
    assert duration(3599) == '1 h 00 min'
    assert duration(7505) == '2 h 05 min'


def test_percentages():
    shares = (0, 0.0004, 0.004, 0.03, 0.0994, 0.0996, 0.125, 1)
    assert [percent(share) for share in shares] == [
        '0 %',
        '0 %',
        '0.4 %',
        '3 %',
        '9.9 %',
        '10 %',
        '12 %',
        '100 %',
    ]


def test_the_day_of_the_run(run_folder, edit, stop_after):
    assert run_date(read_run(run_folder)) == '2 January 2026'

    def resume(manifest):
        manifest['stages'][3]['started'] = '2026-11-25T23:20:06+00:00'

    edit('manifest.json', resume)
    assert run_date(read_run(run_folder)) == '25 November 2026'
    stop_after(0)
    assert run_date(read_run(run_folder)) is None
