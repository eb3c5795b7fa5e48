import pytest

from mmseg_weakclip.datasets.labels.id_lists import (
    ListedImage,
    drop_repeated,
    parse_line,
    read_id_list,
)

FOLDER = 'data/VOC2012/JPEGImages'


@pytest.mark.parametrize(
    ('line', 'expected'),
    [
        ('2007_000032', ListedImage('2007_000032')),
        ('2007_000032.jpg\n', ListedImage('2007_000032', '.jpg')),
        (
            '/JPEGImages/x.jpg /SegmentationClassAug/x.png',
            ListedImage('x', '.jpg'),
        ),
        ('JPEGImages/x.jpg masks/x.png', ListedImage('x', '.jpg')),
        ('/elsewhere/x.jpg', ListedImage('x', '.jpg')),
        ('sub/deep/x', ListedImage('sub/deep/x')),
        ('JPEGImages/sub/x', ListedImage('sub/x')),
        ('./x', ListedImage('x')),
        ('my photo 1', ListedImage('my photo 1')),
        ('my photo.JPG', ListedImage('my photo', '.JPG')),
        ('Zoë 2.png', ListedImage('Zoë 2', '.png')),
        ('v1.2', ListedImage('v1.2')),
    ],
)
def test_lines(line, expected):
    assert parse_line(line, FOLDER) == expected


def test_image_id_is_the_stem():
    assert ListedImage('sub/x', '.jpg').image_id == 'x'


def test_pair_of_different_names(tmp_path):
    path = tmp_path / 'train.txt'
    path.write_text('a\n\n/JPEGImages/b.jpg /Masks/c.png\n')
    with pytest.raises(ValueError, match=r'train\.txt, line 3.*b\.jpg'):
        read_id_list(path, FOLDER)


def test_list_without_images(tmp_path):
    path = tmp_path / 'train.txt'
    path.write_text('\n \n')
    with pytest.raises(ValueError, match=r'train\.txt names no image'):
        read_id_list(path)


def test_repeated_ids_are_taken_once_in_order():
    images = [ListedImage(name) for name in 'badbab']
    kept, repeated = drop_repeated(images)
    assert [image.name for image in kept] == ['b', 'a', 'd']
    assert repeated == {'b': 3, 'a': 2}


def test_one_id_for_two_files():
    with pytest.raises(ValueError, match=r"x/a and y/a .*'a'"):
        drop_repeated([ListedImage('x/a'), ListedImage('y/a')])
