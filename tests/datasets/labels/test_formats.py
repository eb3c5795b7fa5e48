import json
import os

import pytest

from mmseg_weakclip.datasets.labels.formats import (
    cached_image_labels,
    detect_format,
    read_image_labels,
)


@pytest.mark.parametrize(
    ('name', 'format'),
    [
        ('x.npy', 'npy'),
        ('x.json', 'json'),
        ('x.csv', 'csv'),
        ('x.txt', 'clip-es'),
        ('folder/a.txt', 'txt'),
        ('folder/a.xml', 'voc-xml'),
        ('folder/a.png', 'masks'),
    ],
)
def test_detect_format(tmp_path, name, format):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('{}' if name.endswith('.json') else '')
    source = path if path.parent == tmp_path else path.parent
    assert detect_format(source) == format


def test_nothing_to_detect(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'gone\.json.*image_labels'):
        detect_format(tmp_path / 'gone.json')
    with pytest.raises(ValueError, match='no files'):
        detect_format(tmp_path)
    (tmp_path / 'a.png').touch()
    (tmp_path / 'a.pdf').touch()
    with pytest.raises(ValueError, match=r'1 \.pdf, 1 \.png.*Name the format'):
        detect_format(tmp_path)
    other = tmp_path / 'labels.yaml'
    other.touch()
    with pytest.raises(ValueError, match=r'labels\.yaml.*name its format'):
        detect_format(other)


def test_a_folder_with_one_label_file(tmp_path):
    (tmp_path / 'tags.csv').write_text('image,labels\na,cat\n')
    (tmp_path / 'readme.pdf').touch()
    with pytest.raises(ValueError, match=r'give the file .*tags\.csv'):
        detect_format(tmp_path)


def test_images_that_differ_in_their_folders(tmp_path):
    path = tmp_path / 'tags.csv'
    path.write_text('image,labels\na/1.jpg,cat\nb/1.jpg,dog\n')
    with pytest.raises(ValueError, match=r'line 3: a/1\.jpg and b/1\.jpg'):
        read_image_labels(path, ['cat', 'dog'])
    path.write_text('image,labels\na/1.jpg,cat\n1.jpg,dog\na/1,cat\n')
    assert dict(read_image_labels(path, ['cat', 'dog']).labels) == {
        '1': (0, 1)
    }


def test_named_format_wins_over_the_suffix(tmp_path):
    path = tmp_path / 'labels.data'
    path.write_text('a,cat\n')
    assert read_image_labels(path, ['cat'], 'csv')['a'] == (0,)


def test_cache_reads_once_and_notices_a_new_file(tmp_path):
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps({'a': ['cat']}))
    first = cached_image_labels(str(path), ('cat', 'dog'))
    assert cached_image_labels(str(path), ('cat', 'dog')) is first
    assert cached_image_labels(str(path), ('dog', 'cat'))['a'] == (1,)
    path.write_text(json.dumps({'a': ['dog']}))
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    assert cached_image_labels(str(path), ('cat', 'dog'))['a'] == (1,)
