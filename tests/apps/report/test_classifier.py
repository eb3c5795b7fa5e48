"""What the report says of a run's classifier."""

import json

import pytest

from mmseg_weakclip.apps.report.summary import summarize
from mmseg_weakclip.apps.run_folder.classifier import describe_classifier
from mmseg_weakclip.apps.run_folder.schema import TAGS
from mmseg_weakclip.apps.run_folder.store import read_run


@pytest.fixture
def judged(run_folder, add_stage):
    """A run with a classifier that has learnt one of three classes."""
    add_stage('tags')
    (run_folder / 'tags').mkdir()
    rows = dict(
        cat=dict(images=9, precision=90.0, chance=31.2, judgement='learnt'),
        dog=dict(
            images=9, precision=33.0, chance=31.2, judgement='near chance'
        ),
        yak=dict(
            images=0, precision=None, chance=None, judgement='too few images'
        ),
    )
    path = run_folder / 'tags/average_precision.json'
    path.write_text(json.dumps(dict(images=30, classes=rows)))
    return run_folder


def test_what_is_told_of_the_classifier(judged):
    first, poor, few = describe_classifier(judged)
    assert 'cat 90 (31), dog 33 (31)' in first
    assert poor.startswith('warning: near chance')
    assert 'dog (AP 33 %, chance 31 %)' in poor
    assert few.endswith('yak')


def test_the_summary_tells_it(judged):
    lines = summarize(read_run(judged), [])
    told = [f'{line}.' for line in describe_classifier(judged)]
    told[0] = f'Classifier: {told[0]}'
    place = lines.index(told[0])
    assert lines[place : place + 3] == told
    (judged / TAGS).unlink()
    plain = summarize(read_run(judged), [])
    assert [line for line in lines if line not in told] == plain
