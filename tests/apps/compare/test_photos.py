"""Which photos are compared, and the folder that the methods get."""

import csv
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmseg_weakclip.apps.compare.contenders import (
    parse_methods,
    run_arguments,
)
from mmseg_weakclip.apps.compare.photos import (
    choose_photos,
    table_options,
    write_photos,
)
from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.inputs.classes import read_classes
from mmseg_weakclip.apps.wsss.inputs.given import read_sources
from mmseg_weakclip.apps.wsss.options import Options

LABELS = {f'{i}.jpg': (1,) for i in range(90)}
LABELS.update({f'rare/{i}.jpg': (2,) for i in range(3)})
LABELS.update({'both.jpg': (1, 3), 'none.jpg': ()})


def test_all_tags_appear():
    found = choose_photos(LABELS, 8)
    assert found == sorted(set(found))
    counts = [sum(tag in LABELS[p] for p in found) for tag in (1, 2, 3)]
    assert counts == [5, 3, 1]
    assert 'none.jpg' not in found
    # Neither order nor further calls change it.
    again = choose_photos(dict(reversed(LABELS.items())), 8)
    assert again == found


def test_all_photos_if_they_are_few():
    assert len(choose_photos(LABELS, 500)) == 94
    assert choose_photos({'a.jpg': ()}, 5) == []
    assert len(choose_photos(LABELS, 2)) == 2


def test_painted_photos_come_first():
    painted = {'17.jpg', '81.jpg'}
    found = choose_photos(LABELS, 8, painted)
    assert painted <= set(found)
    assert sum(2 in LABELS[path] for path in found) == 3


@pytest.fixture
def user(tmp_path):
    images = tmp_path / 'images'
    (images / 'a').mkdir(parents=True)
    for name in ('a/1.jpg', '2.jpg', '3.jpg'):
        (images / name).write_text(name)
    (tmp_path / 'm.png').write_text('mask')
    return images


def make_sources(tmp_path, *names):
    return SimpleNamespace(
        classes=SimpleNamespace(names=('background', *names)),
        labelling=SimpleNamespace(
            labels={'a/1.jpg': (1, 2), '2.jpg': (2,), '3.jpg': (1,)}
        ),
        truth={'a/1.jpg': tmp_path / 'm.png'},
    )


def test_folder_has_the_chosen_and_nothing_else(tmp_path, user):
    out = tmp_path / 'out'
    sources = make_sources(tmp_path, 'cat', 'a;b')
    write_photos(out, user, sources, ['3.jpg', 'a/1.jpg'])
    write_photos(out, user, sources, ['2.jpg', 'a/1.jpg'])
    files = {
        path.relative_to(out / 'photos').as_posix(): path.read_text()
        for path in (out / 'photos').rglob('*.jpg')
    }
    assert files == {'2.jpg': '2.jpg', 'a/1.jpg': 'a/1.jpg'}
    assert (out / 'truth/a/1.png').read_text() == 'mask'
    with (out / 'labels.csv').open() as file:
        rows = list(csv.reader(file))
    # A class has the usual separator in its name.
    assert rows == [
        ['image', 'labels'], ['2.jpg', 'a;b'], ['a/1.jpg', 'cat|a;b'],
    ]  # fmt: skip
    assert (out / 'classes.txt').read_text() == 'cat\na;b\n'


@pytest.mark.parametrize('has_links', [True, False])
def test_files_of_an_earlier_call_are_replaced(
    tmp_path, user, monkeypatch, has_links
):
    """Photos and masks may come from other folders, or change in theirs."""

    def refuse(*args, **kwargs):
        raise OSError('no links here')

    if not has_links:
        monkeypatch.setattr(Path, 'symlink_to', refuse)
    out, chosen = tmp_path / 'out', ['2.jpg', 'a/1.jpg']

    def shown():
        files = (out / 'photos/2.jpg', out / 'photos/a/1.jpg')
        return [path.read_text() for path in (*files, out / 'truth/a/1.png')]

    sources = make_sources(tmp_path, 'cat', 'dog')
    write_photos(out, user, sources, chosen)
    assert (out / 'photos/2.jpg').is_symlink() == has_links
    assert shown() == ['2.jpg', 'a/1.jpg', 'mask']
    # What is as it was stays, so that no run begins again.
    before = [path.lstat().st_ino for path in out.rglob('*.*g')]
    write_photos(out, user, sources, chosen)
    assert [path.lstat().st_ino for path in out.rglob('*.*g')] == before
    # A file of the same length is written over.
    (user / '2.jpg').write_text('two!!')
    os.utime(user / '2.jpg', ns=(1, 1))
    # Other folders.
    shutil.copytree(user, tmp_path / 'others')
    (tmp_path / 'others/a/1.jpg').write_text('another')
    (tmp_path / 'n.png').write_text('new mask')
    write_photos(out, user, sources, chosen)
    assert shown() == ['two!!', 'a/1.jpg', 'mask']
    sources.truth['a/1.jpg'] = tmp_path / 'n.png'
    write_photos(out, tmp_path / 'others', sources, chosen)
    assert shown() == ['two!!', 'another', 'new mask']
    if has_links:
        link = os.readlink(out / 'photos/2.jpg')
        assert link == str(tmp_path / 'others/2.jpg')
    assert not list(out.rglob('.*'))


@pytest.mark.parametrize(
    'names',
    [
        ('cat', 'dog, small'),
        ('a|b', 'c'),
        ('a;b', 'c,d'),
        # "a/b", and "a+b" without the sign, would be the third class.
        ('a', 'b', 'ab', 'x;y|z'),
        ('a;1', 'b|2', 'a;1b|2'),
        ('C# code', 'code'),
        ('[x]', 'y'),
    ],
)
def test_runs_read_the_table_as_it_was_meant(tmp_path, user, names):
    """What may stand between names or columns may also stand in a name."""
    out = tmp_path / 'out'
    labels = {'a/1.jpg': (1, 2), '2.jpg': (2,), '3.jpg': (1,)}
    write_photos(out, user, make_sources(tmp_path, *names), list(labels))
    one, _ = parse_methods('excel,clipes', out)
    given = dict(images=str(user), labels='l.json', label_format='own-json')
    table = table_options(('background', *names))
    args = run_arguments(one, given, out, table)
    sources = read_sources(
        Options(**vars_of(args)), read_classes(args.classes)
    )
    assert sources.classes.names[1:] == names
    assert sources.labelling.labels == labels


def vars_of(args):
    """Options of a run, without those that are about its end."""
    return {k: v for k, v in vars(args).items() if k != 'until'}


def test_no_character_between_names_is_left(tmp_path, user):
    sources = make_sources(tmp_path, 'a;b', 'c|d+e')
    with pytest.raises(UserError, match='rename them'):
        write_photos(tmp_path / 'out', user, sources, ['2.jpg'])
