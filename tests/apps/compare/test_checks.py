"""What is refused before the first method runs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.cli import main
from mmseg_weakclip.apps.compare.checks import check_runs
from mmseg_weakclip.apps.compare.contenders import (
    parse_methods,
    run_arguments,
)
from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss import cli as wsss
from mmseg_weakclip.apps.wsss.arguments import read_options
from mmseg_weakclip.apps.wsss.inputs.classes import ClassList, plain_class
from mmseg_weakclip.apps.wsss.inputs.given import Sources
from mmseg_weakclip.apps.wsss.inputs.labels import Labelling
from mmseg_weakclip.apps.wsss.manifest import Manifest

CURE = 'needs --seed-classes or --classes: ids in masks are positions'


@pytest.fixture
def words(tmp_path, monkeypatch):
    """Arguments of a comparison whose masks have ids of an unknown order."""
    monkeypatch.chdir(tmp_path)
    for name in ('photos', 'seeds', 'named'):
        (tmp_path / name).mkdir()
    mask = Image.fromarray(np.eye(20, dtype=np.uint8))
    for index in range(2):
        Image.new('RGB', (20, 20)).save(tmp_path / f'photos/p{index}.jpg')
        mask.save(tmp_path / f'seeds/p{index}.png')
        mask.save(tmp_path / f'named/p{index}_dog.png')
    (tmp_path / 'labels.csv').write_text(
        'image,labels\np0.jpg,dog\np1.jpg,dog;cat\n'
    )
    return [
        'compare', '--images', 'photos', '--labels', 'labels.csv',
        '--work-dir', 'out', '--gpus', '0', '--crf', 'none',
    ]  # fmt: skip


@pytest.fixture
def calls(monkeypatch):
    """Arguments of the runs, the first of which is stopped."""
    found = []

    def run_command(args):
        found.append(args)
        raise UserError('it ran')

    monkeypatch.setattr(wsss, 'run_command', run_command)
    return found


def test_ids_without_an_order_are_refused_at_once(
    words, calls, tmp_path, capsys
):
    """Labels alone give an alphabetical list: cat would be 1 for all."""
    assert main([*words, '--methods', 'cam,seeds:seeds']) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: seeds:seeds: ')
    assert CURE in error
    assert error.count('\n') == 1
    assert not calls
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'more',
    [
        ['--methods', 'seeds:seeds,cam', '--classes', 'dog,cat'],
        ['--methods', 'seeds:seeds,cam', '--seed-classes', 'dog,cat'],
        # Files of single classes say by their names which.
        ['--methods', 'seeds:named,cam'],
    ],
)
def test_ids_with_an_order_are_taken(words, calls, capsys, more):
    assert main([*words, *more]) == 2
    assert 'it ran' in capsys.readouterr().err
    assert len(calls) == 1


def test_list_beside_the_masks_gives_the_order(words, calls, tmp_path):
    """All methods have the same list, so that ids can be compared."""
    (tmp_path / 'seeds/classes.txt').write_text('dog\ncat\n')
    assert main([*words, '--methods', 'seeds:seeds,cam']) == 2
    assert calls[0].classes == str(tmp_path / 'out/classes.txt')


def test_masks_of_other_photos_are_refused_at_once(words, calls, capsys):
    Path('seeds/p0.png').rename('seeds/q0.png')
    Path('seeds/p1.png').unlink()
    words += ['--methods', 'cam,seeds:seeds', '--classes', 'dog,cat']
    assert main(words) == 2
    assert 'no mask is called like an image' in capsys.readouterr().err
    assert not calls


def test_true_masks_of_other_photos_are_refused_at_once(words, calls, capsys):
    """The runs on the chosen photos would find an empty folder."""
    Path('labels.csv').write_text('image,labels\np0.jpg,dog\n')
    Path('seeds/p0.png').unlink()
    words += ['--methods', 'cam,excel', '--clip', 'toyclip']
    words += ['--classes', 'dog,cat', '--truth', 'seeds']
    assert main(words) == 2
    assert 'of the 1 chosen photos, none has' in capsys.readouterr().err
    assert not calls


@pytest.mark.parametrize('truth', ['seeds', '.', 'seeds/part'])
def test_truth_is_no_method(words, calls, capsys, truth):
    """It would score 100, and the commands to go on would train on it."""
    Path('seeds/part').mkdir()
    for index in range(2):
        path = Path(truth) / f'p{index}.png'
        path.write_bytes(Path(f'seeds/p{index}.png').read_bytes())
    words += ['--methods', 'cam,seeds:seeds', '--classes', 'dog,cat']
    assert main([*words, '--truth', truth]) == 2
    assert 'no training may see the truth' in capsys.readouterr().err
    assert not calls


def make_runs(tmp_path, **given):
    given = dict(images=str(tmp_path), labels='/l.csv', **given)
    runs = [
        (one, run_arguments(one, given, tmp_path, {'layout': 'list'}))
        for one in parse_methods('cam,excel', tmp_path)
    ]
    classes = ClassList((plain_class('dog'),))
    labels = Labelling(classes, {'a.jpg': (1,)}, [], [], [], '', (), ())
    return runs, Sources({'a.jpg': 'a'}, labels, set(), {})


def save_runs(tmp_path, **given):
    runs, _ = make_runs(tmp_path, **given)
    for one, args in runs:
        one.folder.mkdir(exist_ok=True)
        Manifest(one.folder, read_options(args, None), []).save()


@pytest.mark.parametrize(
    ('earlier', 'said'),
    [
        (dict(crf='none'), 'cam was made with --crf none, which'),
        (dict(amp=True), 'cam was made with --amp, which'),
        (dict(truth='/t'), 'cam was made with --truth /t, which'),
        (dict(clip='toyclip'), 'excel was made with --clip toyclip'),
        (dict(seed=3, max_side=99), '--max-side 99 --seed 3, which'),
    ],
)
def test_options_of_an_earlier_call_do_not_go_on_unseen(
    tmp_path, earlier, said
):
    save_runs(tmp_path, **earlier)
    runs, sources = make_runs(tmp_path)
    with pytest.raises(UserError, match=r'give it again, or choose') as error:
        check_runs(runs, sources, ['a.jpg'], is_ordered=True)
    assert said in str(error.value)
    # The same call goes on, and one with further options, too.
    runs, sources = make_runs(tmp_path, **{**earlier, 'batch_size': 2})
    check_runs(runs, sources, ['a.jpg'], is_ordered=True)


def test_run_that_went_on_may_have_a_segmenter(tmp_path):
    save_runs(tmp_path, crf='none')
    one = parse_methods('cam,excel', tmp_path)[0]
    before = Manifest.load(one.folder)
    options = {**before.options.to_json(), 'segmenter': 'dinov2-s',
               'iterations': 7, 'rounds': 2, 'gpus': 0}  # fmt: skip
    before.options = type(before.options).from_json(options)
    before.save()
    runs, sources = make_runs(tmp_path, crf='none')
    check_runs(runs, sources, ['a.jpg'], is_ordered=True)
