import json

import pytest
from mmseg.datasets import PascalVOCDataset
from mmseg.utils import get_classes

from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.common.names import (
    NEVER_ANNOTATED,
    SPELLINGS,
    VOCABULARIES,
    NameIndex,
    read_vocabulary,
    split_background,
)
from mmseg_weakclip.toyland.objects import CLASSES as TOYLAND


def test_vocabularies_are_those_of_the_field():
    assert VOCABULARIES['voc'] == PascalVOCDataset.METAINFO['classes'][1:]
    # The first 80 classes of COCO-Stuff are COCO's objects.
    assert list(VOCABULARIES['coco']) == get_classes('cocostuff')[:80]
    assert VOCABULARIES['toyland'] == tuple(TOYLAND)


def test_coco_category_ids():
    names = VOCABULARIES['coco91']
    assert len(names) == 90
    known = {1: 'person', 13: 'stop sign', 44: 'bottle', 90: 'toothbrush'}
    assert {i: names[i - 1] for i in known} == known
    unused = {i for i, name in enumerate(names, 1) if name in NEVER_ANNOTATED}
    assert unused == {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}


def test_palette_is_that_of_voc():
    assert label_colors(21) == PascalVOCDataset.METAINFO['palette']
    colors = label_colors(256)
    assert len({tuple(color) for color in colors}) == 256
    assert colors[:21] == label_colors(21)


@pytest.mark.parametrize(
    ('spelling', 'name'),
    [
        ('airplane', 'aeroplane'),
        ('Dining Table', 'diningtable'),
        ('potted-plant', 'pottedplant'),
        ('TV', 'tvmonitor'),
        ('tv/monitor', 'tvmonitor'),
        ('couch', 'sofa'),
        ('motorcycle', 'motorbike'),
    ],
)
def test_spellings_of_voc(spelling, name):
    voc = VOCABULARIES['voc']
    assert NameIndex(voc).find(spelling) == voc.index(name)


@pytest.mark.parametrize('name', ['motorbike', 'sofa', 'tvmonitor'])
def test_voc_spellings_in_coco(name):
    index = NameIndex(VOCABULARIES['coco'])
    assert index.find(name) is not None


def test_spellings_do_not_overlap():
    names = [name for group in SPELLINGS for name in group]
    assert len(names) == len(set(names))


def test_a_name_of_the_list_wins_over_an_alias():
    index = NameIndex(['couch', 'sofa'])
    assert (index.find('couch'), index.find('sofa')) == (0, 1)
    # 'tv' and 'television' stand for 'tvmonitor' only if it is in the list.
    assert NameIndex(['tv', 'television']).find('tvmonitor') is None


def test_nearest_names():
    assert NameIndex(VOCABULARIES['voc']).nearest('hrse')[0] == 'horse'
    assert NameIndex(VOCABULARIES['voc']).nearest('qqqq') == []


def test_two_names_that_read_alike():
    with pytest.raises(ValueError, match="'tea pot'.*'tea_pot'"):
        NameIndex(['tea pot', 'cup', 'tea_pot'])


def test_background_only_in_front():
    assert split_background(['background', 'a']) == (('a',), 1)
    assert split_background(['a', 'b']) == (('a', 'b'), 0)
    with pytest.raises(ValueError, match='class 2'):
        split_background(['background', 'a', 'background'])


def test_read_vocabulary(tmp_path):
    text = tmp_path / 'names.txt'
    text.write_text('background\ncat\n\n teddy bear \n')
    listed = tmp_path / 'names.json'
    listed.write_text(json.dumps(['cat', 'teddy bear']))
    expected = ('cat', 'teddy bear')
    assert read_vocabulary(str(text)) == expected
    assert read_vocabulary(str(listed)) == expected
    assert read_vocabulary('cat, teddy bear') == expected
    assert read_vocabulary(['background', *expected]) == expected
    assert read_vocabulary('voc') == VOCABULARIES['voc']


@pytest.mark.parametrize('spec', ['missing.txt', ',', 'background'])
def test_no_vocabulary(spec):
    with pytest.raises(ValueError, match=spec):
        read_vocabulary(spec)


def test_vocabulary_file_that_is_no_list(tmp_path):
    path = tmp_path / 'names.json'
    path.write_text('{"cat": 1}')
    with pytest.raises(ValueError, match='names.json'):
        read_vocabulary(str(path))
