import pytest

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.inputs.images import (
    assign_ids,
    find_images,
)
from mmseg_weakclip.datasets.labels.id_lists import parse_line


def test_images_are_found_in_all_folders(tmp_path):
    for name in ('b.JPG', 'a/c.png', 'a/.hidden.png', '.trash/d.png', 'e.txt'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert find_images(tmp_path).paths == ['a/c.png', 'b.JPG']


def test_what_a_run_wrote_is_no_image(tmp_path):
    for name in ('a.jpg', 'out/results/a.png', 'x/masks/a.png', 'x/b.jpg'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / 'x/around').symlink_to(tmp_path)
    others = [tmp_path / 'out', tmp_path / 'x/masks']
    assert find_images(tmp_path, others).paths == ['a.jpg', 'x/b.jpg']


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('nowhere', 'does not exist'),
        ('file.png', 'is a file'),
        ('empty', 'holds no image'),
    ],
)
def test_no_images(tmp_path, name, message):
    (tmp_path / 'file.png').touch()
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=rf'{name} {message}'):
        find_images(tmp_path / name)


@pytest.mark.parametrize(
    ('paths', 'ids'),
    [
        (['a.jpg', 'x/b.png'], ['a', 'b']),
        (['x/a.jpg', 'y/a.jpg', 'z/b.jpg'], ['x__a', 'y__a', 'b']),
        (['x/a.jpg', 'x/a.png'], ['x__a_jpg', 'x__a_png']),
        # One file on disks that do not tell case.
        (['x/A.jpg', 'y/a.jpg'], ['x__A', 'y__a']),
        (['my cat.JPG', 'Zoë 2.png'], ['my cat', 'Zoë 2']),
        (['a:b?.png'], ['a_b_']),
        # Readers of lists would take these for files of other names.
        (['cat.png.jpg', 'a.jpg b.jpg'], ['cat_png', 'a_jpg b']),
        # With its folder, an image is called as another already is.
        (['x/a.jpg', 'y/a.jpg', 'x__a.jpg'], ['x__a_jpg', 'y__a', 'x__a_jpg']),
    ],
)
def test_ids(paths, ids):
    if len(set(ids)) < len(ids):
        with pytest.raises(UserError, match='get the same id'):
            assign_ids(paths)
    else:
        assert list(assign_ids(paths).values()) == ids


@pytest.mark.parametrize(
    'path', ['my cat.jpg', 'cat.png.jpg', 'a.jpg b.jpg', ' x.jpg', 'v1.2.png']
)
def test_lists_give_ids_back(path):
    (image_id,) = assign_ids([path]).values()
    image = parse_line(f'{image_id}.jpg\n', 'images')
    assert (image.name, image.suffix) == (image_id, '.jpg')
