import json
from pathlib import Path

import pytest

from mmseg_weakclip.common.names import VOCABULARIES
from mmseg_weakclip.models.clims import background_lists as module
from mmseg_weakclip.models.clims.background_lists import (
    PUBLISHED,
    background_lists,
    denied_by,
    denied_words,
    resolve_backgrounds,
)
from mmseg_weakclip.models.clims.words import (
    compact,
    is_kind_of,
    read_background_words,
    singular,
    word_parts,
)
from mmseg_weakclip.toyland.objects import CLASSES, PART_WORDS
from mmseg_weakclip.toyland.textures import BACKGROUNDS

# The classes that each list was made for.
VOCABULARY_OF = dict(
    voc='voc',
    voc_camera_ready='voc',
    coco='coco',
    coco_published='coco',
    toyland='toyland',
)


def violations(name):
    """Denied texts of each class, for the classes that have some."""
    classes = VOCABULARIES[VOCABULARY_OF[name]]
    texts = resolve_backgrounds(name, classes)
    found = {
        c: {t for t in own if denied_by(t, c)}
        for c, own in zip(classes, texts)
    }
    return {c: own for c, own in found.items() if own}


@pytest.mark.parametrize('name', sorted(set(VOCABULARY_OF) - set(PUBLISHED)))
def test_our_lists_keep_to_the_denied_words(name):
    assert violations(name) == {}


def test_the_list_for_coco_serves_all_its_classes_alike():
    texts = resolve_backgrounds('coco', VOCABULARIES['coco'])
    assert set(texts) == {tuple(background_lists()['coco'])}
    assert set(background_lists()['coco']) < set(
        background_lists()['coco_published']
    )


def test_what_published_lists_violate():
    assert violations('voc') == {}
    assert violations('voc_camera_ready') == {}
    found = violations('coco_published')
    assert found['person'] == {
        'men', 'shirt', 'mouth', 'suit', 'child', 'teeth', 'officer', 'body',
        'hand', 'baseball player', 'girl', 'boy', 'woman', 'baby', 'jacket',
    }  # fmt: skip
    assert found['train'] == {'steam engine', 'door', 'window'}
    assert found['tv'] == {'computer monitor'}
    assert found['dining table'] == {'desk'}
    assert {'animal', 'body', 'mouth'} <= found['dog']
    assert len(found) > 40


def test_published_sizes():
    assert len(background_lists()['voc']) == 10
    assert len(set(background_lists()['coco_published'])) == 88
    assert set(background_lists()['voc_camera_ready']) == {'boat', 'train'}


def test_every_class_of_ours_has_denied_words():
    for vocabulary in ('voc', 'coco', 'toyland'):
        for name in VOCABULARIES[vocabulary]:
            assert len(denied_words(name)) > 2, name
    path = Path(module.__file__).with_name('denied_words.json')
    table = json.loads(path.read_text())
    known = {c for v in ('voc', 'coco', 'toyland') for c in VOCABULARIES[v]}
    assert set(table['denied']) <= known


def test_one_class_under_two_names():
    assert denied_words('tvmonitor')[1:] == denied_words('tv')
    assert denied_words('Dining Table')[0] == 'Dining Table'
    assert 'desk' in denied_words('diningtable')
    assert denied_words('zeppelin') == ('zeppelin',)


def test_flat_lists_leave_out_what_is_denied():
    texts = ['water', 'sails', 'a fishing boat', 'wheels']
    boat, car = resolve_backgrounds(texts, ('boat', 'car'))
    assert boat == ('water', 'wheels')
    assert car == ('water', 'sails', 'a fishing boat')


def test_mappings():
    boat, car = resolve_backgrounds({'boat': ['sea', 'sea']}, ('boat', 'car'))
    assert (boat, car) == (('sea',), ())
    # A published mapping may know classes that a data set lacks.
    (boat,) = resolve_backgrounds('voc_camera_ready', ('boat',))
    assert boat == ('river', 'water', 'lake', 'sea', 'building')


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        ('vok', "unknown list of background texts 'vok'.*voc_camera_ready"),
        ([], 'background texts is empty'),
        ({}, 'background texts is empty'),
        ({'boat': []}, "'boat' is empty"),
        ({'boat': 'sea'}, "'boat' must be a list of texts, not 'sea'"),
        (['sea', ' '], "an invalid text: ' '"),
        ({'ship': ['sea']}, "unknown class 'ship'; the classes are .*'boat'"),
        ({'boat': ['Boats']}, "'boat' has the class itself"),
        (['wheel', 'auto'], "no text for the class 'car'.*'wheel', 'auto'"),
    ],
)
def test_bad_sources(source, message):
    with pytest.raises(ValueError, match=message):
        resolve_backgrounds(source, ('boat', 'car'))


def test_words():
    assert singular('branches') == 'branch'
    assert singular('berries') == 'berry'
    assert singular('grass') == 'grass'
    assert singular('buses') != singular('bush')
    assert word_parts('The old Tree-leaves') == ('old', 'tree', 'leaf')
    assert compact('TV monitors') == compact('tvmonitor')
    assert is_kind_of('fishing boats', 'boat')
    assert is_kind_of('steam engine', 'Steam Engines')
    assert not is_kind_of('boat house', 'boat')
    assert not is_kind_of('boat', 'fishing boat')


def test_the_open_vocabulary():
    words = read_background_words('open')
    assert len(words) > 300
    assert len({compact(word) for word in words}) == len(words)
    for word in words:
        if word not in ('stairs', 'scissors', 'spectacles'):
            assert word == ' '.join(word_parts(word)), 'lower case, singular'
    for vocabulary in ('voc', 'coco'):
        for name in VOCABULARIES[vocabulary]:
            left = [w for w in words if not denied_by(w, name)]
            assert len(left) > 300, name


def test_the_vocabulary_of_toyland():
    words = set(read_background_words('toyland'))
    parts = {
        word.removeprefix('a ').removeprefix('an ')
        for own in PART_WORDS.values()
        for word in own
    }
    assert {*CLASSES, *BACKGROUNDS, *parts} < words
    for name, own in PART_WORDS.items():
        assert all(denied_by(word, name) for word in own), name


def test_vocabularies_of_a_user(tmp_path):
    path = tmp_path / 'words.txt'
    path.write_text('pier\n\nsea \npier\n')
    assert read_background_words(path) == ('pier', 'sea')
    assert read_background_words(['sea', 'sea']) == ('sea',)
    with pytest.raises(ValueError, match="unknown vocabulary 'opn'.*'open'"):
        read_background_words('opn')
