import unicodedata
from collections import Counter

import pytest

from mmseg_weakclip.datasets.labels.matching import ImageFinder


def test_finder():
    paths = ['x/a.jpg', 'y/a.jpg', 'y/My B.PNG']
    finder = ImageFinder(paths)
    for name in ('y/a.jpg', 'y/a', 'Y\\A.JPG', '/data/set/y/a.jpg', './y/a'):
        assert finder.find(name, 'list') == 'y/a.jpg'
    for name in ('my b', 'My B.png', 'other/my b.png'):
        assert finder.find(name, 'list') == 'y/My B.PNG'
    assert finder.find('c.jpg', 'list') is None
    with pytest.raises(
        ValueError, match=r"l\.csv, line 3: 'a\.jpg' .* folder"
    ):
        finder.find('a.jpg', 'l.csv, line 3')


def test_a_dot_is_no_suffix():
    assert ImageFinder(['v1.2.png']).find('v1.2', 'list') == 'v1.2.png'
    assert ImageFinder(['v1.2.png']).find('v1', 'list') is None


URL = 'the rest of the URL'


@pytest.mark.parametrize(
    ('path', 'name', 'way'),
    [
        ('a.jpg', 'A.JPG', ''),
        ('a.jpg', 'a.png', 'the suffix'),
        ('caf\u00e9.jpg', unicodedata.normalize('NFD', 'caf\u00e9.jpg'), ''),
        (unicodedata.normalize('NFD', 'caf\u00e9.jpg'), 'CAF\u00c9', ''),
        ('cat.jpg', '1a2b3c4d-cat.jpg', 'the prefix of an upload'),
        ('cat.jpg', '/data/upload/3/1a2b3c4d-cat.jpg', 'the prefix of an '
         'upload'),
        ('my cat.jpg', 'https://x.org/up/my%20cat.jpg?w=3', URL),
        ('sub/cat.jpg', '/data/local-files/?d=sub%2Fcat.jpg', URL),
        ('cat.jpg', 'cat_jpg.rf.0a1b2c3d4e5f.jpg', "Roboflow's suffix"),
        ('7.jpg', '0007', 'leading zeros'),
        ('000012.png', '12.png', 'leading zeros'),
        ('000000000009.jpg', 'COCO_train2014_000000000009', "COCO's prefix"),
        ('COCO_val2014_000000000009.jpg', '9', 'leading zeros'),
    ],
)  # fmt: skip
def test_names_as_tools_write_them(path, name, way):
    ways = Counter()
    assert ImageFinder([path, 'other.jpg']).find(name, '', ways) == path
    assert dict(ways) == ({way: 1} if way else {})


def test_case_tells_files_that_differ_in_case_alone():
    finder = ImageFinder(['A.jpg', 'a.jpg', 'b.jpg'])
    assert finder.find('A.jpg', '') == 'A.jpg'
    assert finder.find('a', '') == 'a.jpg'
    with pytest.raises(ValueError, match='any of 2 images'):
        finder.find('a.JPG', '')


def test_a_changed_name_with_several_images_is_ambiguous():
    finder = ImageFinder(['x/7.jpg', 'y/07.jpg'])
    with pytest.raises(ValueError, match='x/7.jpg or y/07.jpg'):
        finder.find('007', '')
    assert finder.match('7') == finder.match('x/7')
