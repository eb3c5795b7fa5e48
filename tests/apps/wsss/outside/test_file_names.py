from pathlib import Path

import pytest

from mmseg_weakclip.apps.wsss.outside.file_names import match_files

IMAGES = ['a.jpg', 'b/1.jpg', 'b/2.png', 'c_d.jpg']
NAMES = ('dog', 'teddy bear', 'cat 2')


def match(*files, names=NAMES, images=IMAGES):
    paths = [Path('/m', file) for file in files]
    return match_files(Path('/m'), paths, images, names)


def values(matched):
    return {
        image: [(file.path.name, file.value) for file in files]
        for image, files in matched.files.items()
    }


def test_a_mask_for_each_image():
    found = match('a.png', 'b/1.png', 'x.png')
    assert values(found) == {
        'a.jpg': [('a.png', 0)],
        'b/1.jpg': [('1.png', 0)],
    }
    assert found.unknown == ['x.png']
    assert not found.shows_classes


def test_masks_of_single_classes():
    found = match(
        'a_dog.png', 'a_Teddy_Bear_3.png', 'b/1/dog.png', 'b/2/cat_2.png',
        'b/2/cat_2_1.png', 'c_d_dog_0.png', 'a_wolf.png',
    )  # fmt: skip
    assert values(found) == {
        'a.jpg': [('a_dog.png', 1), ('a_Teddy_Bear_3.png', 2)],
        'b/1.jpg': [('dog.png', 1)],
        'b/2.png': [('cat_2.png', 3), ('cat_2_1.png', 3)],
        'c_d.jpg': [('c_d_dog_0.png', 1)],
    }
    assert found.shows_classes
    assert found.unknown == ['a_wolf.png']


def test_images_in_folders_called_like_classes():
    found = match('dog/a.png', images=['dog/a.jpg', 'cat/a.jpg'])
    assert values(found) == {'dog/a.jpg': [('a.png', 0)]}


@pytest.mark.parametrize(
    ('files', 'images', 'said'),
    [
        (['a_dog.png'], ['a.jpg', 'a_dog.jpg'], 'all a_dog.jpg or dog of a.j'),
        (['a.png', 'b_dog.png'], ['a.jpg', 'b.jpg'], 'masks of whole images'),
        (['a.png', 'x/a.png'], ['a.jpg'], 'two masks of a.jpg'),
        (['x.png'], ['a.jpg'], 'no mask is called like an image'),
        (['1.png'], ['a/1.jpg', 'b/1.jpg'], 'may be any of 2 images'),
        (['dog/a.png'], ['a.jpg'], 'dog/a.png may show all a.jpg or dog of a'),
    ],
)
def test_what_cannot_be_told(files, images, said):
    with pytest.raises(ValueError, match=said):
        match(*files, images=images)


def test_files_of_scores_belong_to_all_of_an_image():
    found = match('a_dog.npz', 'a.npz', names=())
    assert values(found) == {'a.jpg': [('a.npz', 0)]}
