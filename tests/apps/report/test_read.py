"""What is read from a run's folder, and what is refused."""

import json
import math
import shutil

import numpy as np
import pytest

from mmseg_weakclip.apps.report.compare import compare_images
from mmseg_weakclip.apps.report.curves import read_trainings
from mmseg_weakclip.apps.report.gallery import make_gallery
from mmseg_weakclip.apps.report.summary import summarize
from mmseg_weakclip.apps.run_folder.schema import (
    JOINED,
    OUTSIDE,
    TAGS,
    RunError,
)
from mmseg_weakclip.apps.run_folder.store import read_run


def test_a_whole_run(finished_run):
    run = read_run(finished_run)
    assert [stage.name for stage in run.stages][:2] == ['seeds', 'masks']
    assert run.stages[0].command[2] == 'seeds it'
    assert run.classes[1].color == (255, 0, 0)
    assert [image.id for image in run.images] == ['a', 'b', 'c', 'd']
    assert run.images[1].size == (4, 6)
    assert run.images[1].original_size == (8, 12)
    assert run.images[2].size == (6, 4)
    assert run.images[3].truth is None
    assert run.image_path(run.images[0]).is_file()
    assert run.truth_path(run.images[0]).is_file()
    assert run.truth_path(run.images[3]) is None
    assert list(run.scores) == ['seeds', 'predictions']
    scores = run.scores['predictions']['val']
    assert scores.ious == (90, 30.25, 45)
    # Rows are truth: 6 pixels of class 1 were taken for background.
    assert scores.confusion[1].tolist() == [6, 12, 2]


def test_a_run_without_data(run_folder, stop_after):
    stop_after(0)
    run = read_run(run_folder)
    assert run.images == run.classes == ()
    assert run.scores == {}


def first(**values):
    return lambda records: records[0].update(values)


def drop(*keys):
    def change(value):
        for key in keys[:-1]:
            value = value[key]
        del value[keys[-1]]

    return change


def put(value, *keys):
    def change(record):
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = value

    return change


VAL = ('roles', 'predictions', 'val')


@pytest.mark.parametrize(
    ('name', 'change', 'message'),
    [
        ('manifest.json', put(2, 'version'), 'has version 2; .* reads 1'),
        ('manifest.json', drop('notes'), "lacks 'notes'"),
        (
            'manifest.json',
            drop('stages', 2, 'title'),
            r"stage 3 \(segmenter\) lacks .*'title'",
        ),
        ('data/index.json', lambda v: v[0].pop('height'), "'a' lacks 'heig"),
        ('data/classes.json', lambda v: v[1].pop('color'), "1 lacks 'color'"),
        (
            'manifest.json',
            put('done', 'stages', 0, 'state'),
            "state 'done' is not one of",
        ),
        (
            'manifest.json',
            put('nowhere', 'stages', 0, 'folder'),
            r'\(seeds\) is finished, but .*nowhere is not there',
        ),
        ('data/index.json', first(split='test'), "'a': split 'test'"),
        ('data/index.json', first(labels=['cow']), r"has no \['cow'\]"),
        ('data/index.json', first(truth='x.png'), "'a': .*x.png is not there"),
        ('data/index.json', first(file='x.jpg'), "'a': .*x.jpg is not there"),
        ('data/index.json', lambda value: value.clear(), 'lists no images'),
        ('scores.json', drop(*VAL, 'IoU', 'background'), 'differ in the cl'),
        ('scores.json', drop(*VAL, 'confusion', 0), 'confusion'),
    ],
)
def test_wrong_fields(run_folder, edit, name, change, message):
    edit(name, change)
    with pytest.raises(RunError, match=message) as caught:
        read_run(run_folder)
    assert str(run_folder / name) in str(caught.value)


def test_missing_and_cut_off_files(run_folder):
    with pytest.raises(RunError, match='nothing is not a folder'):
        read_run(run_folder / 'nothing')
    (run_folder / 'scores.json').write_text('{"roles": {')
    with pytest.raises(RunError, match='scores.json is not valid JSON'):
        read_run(run_folder)
    (run_folder / 'data/index.json').unlink()
    with pytest.raises(RunError, match='index.json cannot be read: No such'):
        read_run(run_folder)
    (run_folder / 'manifest.json').unlink()
    with pytest.raises(RunError, match='manifest.json cannot be read'):
        read_run(run_folder)


def test_masks_are_checked(run_folder, edit):
    path = run_folder / 'seeds/masks/a.png'
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    with pytest.raises(RunError, match='a.png is damaged'):
        compare_images(read_run(run_folder))
    path.write_bytes((run_folder / 'seeds/masks/c.png').read_bytes())
    with pytest.raises(RunError, match='a.png is 6 x 4 .* 4 x 6.*swapped'):
        compare_images(read_run(run_folder))
    path.write_bytes(whole)
    # Two classes: the ids of the third are unknown.
    (run_folder / 'scores.json').unlink()
    edit('data/index.json', lambda v: [r.update(labels=[]) for r in v])
    edit('data/classes.json', drop(2))
    with pytest.raises(RunError, match=r'has ids \[2\]'):
        compare_images(read_run(run_folder))


def test_images_are_checked(run_folder):
    run = read_run(run_folder)
    comparisons = compare_images(run)
    path = run.image_path(run.images[0])
    path.write_bytes(b'\xff\xd8\xff')
    with pytest.raises(RunError, match='a.jpg is'):
        make_gallery(run, comparisons, 9)
    path.write_bytes(run.image_path(run.images[2]).read_bytes())
    with pytest.raises(RunError, match='a.jpg 4 x 6'):
        make_gallery(run, comparisons, 9)


def write_log(folder, name, *records):
    path = folder / f'segmenter/{name}/vis_data/scalars.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(json.dumps(record) for record in records))
    return path


def test_a_training(finished_run):
    (training,) = read_trainings(read_run(finished_run))
    assert training.title == 'Segmenter'
    assert list(training.losses) == ['loss', 'aux.loss', 'decode.loss_ce']
    assert training.losses['loss'].steps == (10, 20)
    assert training.losses['decode.loss_ce'].values == (3, 1.5)
    assert training.miou.steps == (20,)
    assert training.miou.values == (40.5,)
    assert training.miou_unit == 'iteration'


def test_a_resumed_training_replaces_what_it_did_again(run_folder):
    write_log(
        run_folder,
        '2',
        {'loss': 1.0, 'step': 20},
        {'mIoU': 50.0, 'step': 20},
        {'loss': math.nan, 'step': 30},
    )
    # A test in the same folder is no training.
    write_log(run_folder, '3', {'mIoU': 99.0, 'step': 0})
    (training,) = read_trainings(read_run(run_folder))
    total = training.losses['loss']
    assert total.steps == (10, 20)
    assert total.values == (4, 1)
    assert total.not_finite == 1
    assert training.miou.values == (50,)


def test_epochs_and_a_single_loss(run_folder):
    records = [
        {'loss': 1.0, 'decode.loss_ce': 1.0, 'epoch': 1, 'step': 100},
        {'mIoU': 10.0, 'step': 1},
        {'loss': 0.5, 'decode.loss_ce': 0.5, 'epoch': 2, 'step': 200},
        {'mIoU': 20.0, 'step': 2},
    ]
    write_log(run_folder, '1', *records)
    (training,) = read_trainings(read_run(run_folder))
    assert training.miou_unit == 'epoch'
    assert training.miou.steps == (1, 2)
    assert list(training.losses) == ['loss']


def test_two_stages_in_one_folder(run_folder, edit):
    edit(
        'manifest.json',
        lambda value: value['stages'][4].update(folder='segmenter'),
    )
    (training,) = read_trainings(read_run(run_folder))
    assert training.title == 'Segmenter'


def test_a_broken_log(run_folder):
    path = write_log(run_folder, '1', {'loss': 1.0, 'step': 1})
    whole = path.read_text()
    path.write_text(f'{whole}\n{{"loss": 0.5, "st')
    (training,) = read_trainings(read_run(run_folder))
    assert np.array_equal(training.losses['loss'].steps, [1])
    path.write_text(f'{{"loss": 0.5, "st\n{whole}')
    with pytest.raises(
        RunError, match='scalars.json, line 1 is not valid JSON'
    ):
        read_trainings(read_run(run_folder))
    path.write_text('{"loss": "low", "step": 1}\n')
    with pytest.raises(RunError, match="line 1: 'loss' is 'low'"):
        read_trainings(read_run(run_folder))


def test_what_an_earlier_run_left(run_folder, edit):
    """Results of stages that the run no longer has are not its own."""
    for name in ('masks_2', 'tags'):
        shutil.copytree(run_folder / 'masks', run_folder / name)
    (run_folder / TAGS).write_text('{"images": 0, "classes": {}}')
    for name in (OUTSIDE, JOINED):
        (run_folder / name).write_text('{}')
    scores = json.loads((run_folder / 'scores.json').read_text())
    masks = scores['roles']['seeds']
    edit('scores.json', put(masks, 'roles', 'masks_2'))
    run = read_run(run_folder)
    assert run.roles == ('seeds', 'masks', 'predictions')
    assert list(run.scores) == ['seeds', 'predictions']
    assert run.outside is run.joined is None
    comparison = compare_images(run)[0]
    assert 'masks_2' not in comparison.cover
    assert 'masks_2' not in make_gallery(run, [comparison], 1).roles
    assert not any(
        'lassifier' in line for line in summarize(run, [comparison])
    )
