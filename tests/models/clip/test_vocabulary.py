import subprocess
import sys

import pytest

from mmseg_weakclip.models.clip.vocabulary import (
    resolve_names,
    resolve_templates,
    word_tables,
)


def test_importing_it_is_cheap():
    """Commands look up names before anything is built."""
    code = (
        'import sys; from mmseg_weakclip.models.clip import vocabulary as v; '
        "v.resolve_names('voc', 'clipes'); v.resolve_templates('clipes'); "
        "assert not {'mmseg', 'torch', 'open_clip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_shipped_tables():
    names = ('tvmonitor', 'cat', 'person')
    assert resolve_names(names, 'clims_released') == (
        ('tv monitor',),
        ('cat',),
        ('player',),
    )
    assert resolve_names(names, 'voc')[0] == (
        'television',
        'computer monitor',
        'screen',
    )
    assert len(resolve_names('voc')) == 25
    assert resolve_templates('clipes') == ('a clean origami {}.',)
    assert len(resolve_templates('imagenet')) == 80


def test_unknown_tables():
    with pytest.raises(ValueError, match="no table of aliases 'vox'.*'voc'"):
        resolve_names(('cat',), 'vox')
    with pytest.raises(ValueError, match="no list of background words 'vox'"):
        resolve_names('vox')
    with pytest.raises(ValueError, match=r"none of \['clipes'\] or mmseg's"):
        resolve_templates('vox')


def test_no_word_is_blank():
    for table in word_tables('aliases').values():
        resolve_names(list(table), table)


@pytest.mark.parametrize(
    'template', ['a {} {thing}', '{} and {}', 'a {} }', '{} {0.x}']
)
def test_templates_have_one_field(template):
    with pytest.raises(
        ValueError, match=r'must have \{\} for the name and no'
    ):
        resolve_templates(['{}.', template])


def test_nothing_to_say():
    with pytest.raises(ValueError, match='templates is empty'):
        resolve_templates([])
    with pytest.raises(ValueError, match='class 1 of 2 has the name 4, whi'):
        resolve_names(['cat', 4])
    with pytest.raises(ValueError, match=r"name \('dog', None\), which is no"):
        resolve_names([('dog', None)])
