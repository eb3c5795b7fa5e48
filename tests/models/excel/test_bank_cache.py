import json
import sys

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.models.clip.text_tower import TextTower
from mmseg_weakclip.models.clip.weights import load_clip
from mmseg_weakclip.models.excel import bank_cache
from mmseg_weakclip.models.excel.attribute_bank import AttributeBank
from mmseg_weakclip.models.excel.bank_cache import build_bank, cached_bank

SENTENCES = {
    'boat': ['it has a mast', 'it has a hull', 'it swims'],
    'car': ['it has wheels', 'it has a roof'],
}
CLIP = ('toyclip', 'toyland')
TEXT = dict(
    type='TemplateText',
    model='toyclip',
    pretrained='toyland',
    names=('boat', 'car'),
    templates=('a clean origami {}.',),
)


@pytest.fixture(scope='module')
def tower():
    return TextTower(load_clip(*CLIP))


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    path = tmp_path / 'mine.json'
    path.write_text(json.dumps(SENTENCES))
    return dict(descriptions=str(path), clusters=3)


@pytest.fixture
def built(monkeypatch):
    """The number of banks that were built, as a list that grows."""
    calls = []

    def build(*args, **kwargs):
        calls.append(kwargs)
        return build_bank(*args, **kwargs)

    monkeypatch.setattr(bank_cache, 'build_bank', build)
    return calls


def files(tmp_path):
    return sorted((tmp_path / 'cache/mmseg_weakclip/banks').glob('*'))


def test_built_once(tower, options, built, tmp_path):
    first = cached_bank(tower, *CLIP, **options)
    (path,) = files(tmp_path)
    assert path.name.startswith('mine-3-')
    again = cached_bank(tower, *CLIP, **options)
    assert torch.equal(first.centres, again.centres)
    assert first.note == again.note
    assert len(built) == 1
    # As the tool makes it.
    alone = build_bank(tower, *CLIP, **options)
    assert torch.equal(alone.centres, first.centres)
    assert first.members.sum() == 5


def test_what_it_depends_on_makes_another(tower, options, built, tmp_path):
    cached_bank(tower, *CLIP, **options)
    cached_bank(tower, *CLIP, **dict(options, clusters=2))
    cached_bank(tower, *CLIP, **dict(options, prefix=''))
    cached_bank(tower, *CLIP, **dict(options, seed=1))
    changed = {**SENTENCES, 'boat': ['it floats']}
    (tmp_path / 'mine.json').write_text(json.dumps(changed))
    cached_bank(tower, *CLIP, **options)
    assert len(built) == 5
    assert len(files(tmp_path)) == 5


@pytest.mark.parametrize('content', [b'', b'damaged'])
def test_a_damaged_file_is_made_again(
    tower, options, built, tmp_path, content
):
    cached_bank(tower, *CLIP, **options)
    (path,) = files(tmp_path)
    path.write_bytes(content)
    cached_bank(tower, *CLIP, **options)
    assert len(built) == 2
    assert AttributeBank.load(path).centres.shape[0] == 3


def test_a_file_of_another_origin_is_not_trusted(
    tower, options, built, tmp_path
):
    bank = cached_bank(tower, *CLIP, **options)
    (path,) = files(tmp_path)
    bank.note['prefix'] = 'other'
    bank.save(path)
    cached_bank(tower, *CLIP, **options)
    assert len(built) == 2


def test_random_weights_leave_nothing(options, built, tmp_path):
    tower = TextTower(load_clip('toyclip', None))
    cached_bank(tower, 'toyclip', None, **options)
    assert files(tmp_path) == []


def test_in_a_text_bank(options, built, tmp_path):
    """As configs have it, and as with the file of the tool."""
    text = MODELS.build(dict(type='AttributeText', text=TEXT, bank=options))
    (path,) = files(tmp_path)
    same = MODELS.build(dict(type='AttributeText', text=TEXT, bank=str(path)))
    assert torch.equal(text(), same())
    with pytest.raises(FileNotFoundError, match='descriptions gone do not'):
        MODELS.build(
            dict(
                type='AttributeText',
                text=TEXT,
                bank=dict(descriptions='gone', clusters=3),
            )
        )


def test_missing_library_is_said_before_weights_are_loaded(
    options, monkeypatch
):
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    text = dict(TEXT, model='unknown')
    with pytest.raises(ImportError, match=r'\[excel\]'):
        MODELS.build(dict(type='AttributeText', text=text, bank=options))
