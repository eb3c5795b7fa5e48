import json

import pytest

from mmseg_weakclip.models.clims.background_cache import BackgroundCache


def test_travels_through_a_file(write_cache, tmp_path):
    cache = BackgroundCache.load(write_cache(note=dict(by='hand')))
    path = tmp_path / 'again.json'
    cache.save(path)
    again = BackgroundCache.load(path)
    assert again.images == cache.images
    assert again.classes == cache.classes == ('boat', 'car')
    assert again.note == {'by': 'hand'}
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'again.json',
        'cache.json',
    ]
    # An image a line, for people.
    assert ' "b": {"car": [["road", 2.0]' in path.read_text()


def test_an_empty_cache_travels_too(tmp_path):
    BackgroundCache(('boat',), {}).save(tmp_path / 'empty.json')
    assert len(BackgroundCache.load(tmp_path / 'empty.json')) == 0


def test_look_up(write_cache):
    cache = BackgroundCache.load(write_cache())
    assert len(cache) == 3
    assert cache.texts('a', 'boat') == ('water', 'sky')
    assert cache.texts('a', 'car') == cache.texts('c', 'boat') == ()
    assert cache.all_texts() == ('water', 'sky', 'road', 'sand')
    with pytest.raises(ValueError, match="lacks 1 of 1 .*'z'"):
        cache.texts('z', 'boat')


def test_most_frequent(write_cache):
    images = {n: {'boat': [['sea', 1]]} for n in 'ab'}
    images['c'] = {'boat': [['sky', 1], ['sea', 0]]}
    cache = BackgroundCache.load(write_cache(images=images))
    assert cache.most_frequent(1) == {'boat': [('sea', 3)], 'car': []}
    assert cache.most_frequent(9)['boat'] == [('sea', 3), ('sky', 1)]


def test_missing_images(write_cache):
    cache = BackgroundCache.load(write_cache())
    cache.check_images(['a', 'c'])
    with pytest.raises(
        ValueError, match=r"cache.json lacks 2 of 3 .* first is 'x'; make it"
    ):
        cache.check_images(['x', 'a', 'y'])


def test_other_classes(write_cache):
    cache = BackgroundCache.load(write_cache())
    cache.check_classes(['bird', 'car', 'boat'])
    with pytest.raises(ValueError, match='cache.json .* car, .* none of boat'):
        cache.check_classes(['boat'])


def image(found, name='boat'):
    return dict(images={'2007_1': {name: found}})


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(format='other'), 'not a cache of background texts.*"format"'),
        (dict(classes=[]), '"classes" must be a list'),
        (dict(classes=['boat', 3]), '"classes" must be a list'),
        (dict(images=[]), '"images" must map'),
        (dict(note='me'), '"note" must be an object'),
        (dict(images={'2007_1': []}), "'2007_1' must map class names"),
        (image([], 'ship'), "'2007_1' has the unknown class 'ship'"),
        (image('sea'), "'2007_1', class 'boat': must be a list"),
        (image(['sea']), "class 'boat': 'sea' is not .text, score."),
        (image([['', 1]]), "'2007_1', class 'boat': the text ''"),
        (image([[3, 1]]), "'2007_1', class 'boat': the text 3"),
        (image([['sea', '1']]), "class 'boat': the score '1' of 'sea'"),
        (image([['sea', None]]), "the score None of 'sea'"),
        (image([['sea', True]]), "the score True of 'sea'"),
        (image([['sea', float('nan')]]), "the score nan of 'sea'"),
    ],
)
def test_damaged(write_cache, changes, message):
    with pytest.raises(ValueError, match=f'cache.json.*{message}'):
        BackgroundCache.load(write_cache(**changes))


def test_files_that_are_none(tmp_path):
    path = tmp_path / 'cache.json'
    with pytest.raises(
        FileNotFoundError, match='does not exist: .*tools/extract'
    ):
        BackgroundCache.load(path)
    path.write_text('{"format": ')
    with pytest.raises(ValueError, match='cache.json is not JSON'):
        BackgroundCache.load(path)
    path.write_text(json.dumps([1]))
    with pytest.raises(ValueError, match='not a cache of background texts'):
        BackgroundCache.load(path)
