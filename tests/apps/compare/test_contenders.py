"""Names of methods, the arguments of their runs, and the commands after."""

import pytest

from mmseg_weakclip.apps.compare.cli import parse_command
from mmseg_weakclip.apps.compare.contenders import (
    next_command,
    parse_methods,
    run_arguments,
    short_titles,
)
from mmseg_weakclip.apps.errors import UserError

GIVEN = dict(
    images='/i', labels='/l.csv', truth='/t', clip='toyclip', gpus=0,
    backbone='resnet18', seed_rest='unsure', affinity='clip', amp=True,
    separator='+', layout='long',
)  # fmt: skip
# Options that read the table of a comparison.
TABLE = dict(label_format='csv', delimiter=',', separator=';', layout='list')


def test_names(tmp_path):
    found = parse_methods('excel, cam,seeds:a,seeds:/b', tmp_path)
    assert [one.title for one in found] == [
        'excel', 'cam', 'seeds:a', 'seeds:b',
    ]  # fmt: skip
    assert [one.folder.name for one in found] == [
        'excel', 'cam', 'seeds', 'seeds_2',
    ]  # fmt: skip
    assert found[3].seeds == '/b'
    assert [one.trainings for one in found] == [(), ('cam',), (), ()]
    (clims, both) = parse_methods('clims,cam+weakclip', tmp_path)
    assert clims.trainings == ('classifier', 'clims')
    assert both.trainings == ('cam', 'weakclip')


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('excel', 'is one method'),
        ('', 'is one method'),
        ('excel,exel', 'did you mean excel'),
        ('excel,cam,excel', 'names excel twice'),
        ('excel,seeds', 'write seeds:DIR'),
        ('excel,cam:x', 'write seeds:DIR'),
    ],
)
def test_mistakes_in_names(tmp_path, text, said):
    with pytest.raises(UserError, match=said):
        parse_methods(text, tmp_path)


def test_each_method_gets_what_it_knows(tmp_path):
    excel, cam, seeds = parse_methods('excel,cam,seeds:/s', tmp_path)
    args = vars(run_arguments(excel, GIVEN, tmp_path, TABLE))
    # Those that train nothing see the chosen photos only.
    assert args['images'] == str(tmp_path / 'photos')
    assert args['truth'] == str(tmp_path / 'truth')
    assert args['classes'] == str(tmp_path / 'classes.txt')
    assert (args['until'], args['val_share']) == ('masks', 0.0)
    assert (args['clip'], args['affinity']) == ('toyclip', 'clip')
    assert not {'backbone', 'seed_rest', 'resume'} & set(args)
    # Their table is that of the comparison, not the user's.
    assert TABLE.items() <= args.items()
    args = vars(run_arguments(cam, GIVEN, tmp_path, TABLE))
    assert (args['images'], args['backbone']) == ('/i', 'resnet18')
    assert (args['separator'], args['layout']) == ('+', 'long')
    assert 'label_format' not in args
    assert not {'clip', 'affinity', 'val_share'} & set(args)
    args = vars(run_arguments(seeds, GIVEN, tmp_path, TABLE))
    assert (args['seeds'], args['seed_rest']) == ('/s', 'unsure')
    assert not {'clip', 'affinity', 'backbone'} & set(args)
    seeds.folder.mkdir()
    (seeds.folder / 'manifest.json').touch()
    assert run_arguments(seeds, GIVEN, tmp_path, TABLE).resume


def test_commands_to_go_on(tmp_path):
    excel, cam = parse_methods('excel,cam', tmp_path)
    last = dict(segmenter='dinov2-s')
    assert next_command(cam, GIVEN, last, tmp_path) == (
        f'weakclip run --work-dir {tmp_path / "cam"} --segmenter dinov2-s '
        '--resume'
    )
    command = next_command(excel, GIVEN, last, tmp_path)
    assert command.startswith(
        f'weakclip run --work-dir {tmp_path / "excel_all"} --images /i'
    )
    assert command.endswith('--method excel --segmenter dinov2-s')
    assert ' --amp --' in command


def test_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ['--methods', 'a,b', '--work-dir', 'out', '--images', 'i']
    own, given, segmenter = parse_command(
        [*words, '--iterations', '7', '--clip', 'toyclip'], 'x'
    )
    assert (own.limit, own.work_dir) == (40, tmp_path / 'out')
    assert given == dict(images=str(tmp_path / 'i'), clip='toyclip')
    assert segmenter == dict(iterations=7, segmenter='deeplabv3plus_r50')
    for more, said in (
        (['--limit', '0'], 'is below 1'),
        (['--method', 'cam'], 'no option of weakclip compare'),
        (['--clib', 'x'], 'unrecognized arguments: --clib'),
    ):
        with pytest.raises(UserError, match=said):
            parse_command([*words, *more], 'x')


@pytest.mark.parametrize(
    ('names', 'titles'),
    [
        (['excel', 'seeds:/a/b/masks'], ['excel', 'seeds:masks']),
        (
            ['seeds:/a/x/masks', 'seeds:/a/y/masks', 'seeds:other'],
            ['seeds:x/masks', 'seeds:y/masks', 'seeds:other'],
        ),
        (['seeds:masks', 'seeds:../masks'], ['seeds:masks', 'seeds:../masks']),
        (['cam', 'seeds:'], ['cam', 'seeds:']),
    ],
)
def test_titles_are_short_and_differ(names, titles):
    assert short_titles(names) == titles
