import pytest

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.inputs.sources import (
    read_val_list,
    split_by_hash,
)

IMAGES = [f'{i:03d}.jpg' for i in range(200)]


def same(images):
    """Labels by image where all show one class."""
    return dict.fromkeys(images, (1,))


def test_order_and_newcomers_do_not_matter():
    val = split_by_hash(same(IMAGES), 0.1)
    assert len(val) == 20
    assert split_by_hash(same(IMAGES[::-1]), 0.1) == val
    more = split_by_hash(same([*IMAGES, 'new.jpg']), 0.1)
    assert len(val & more) >= 19
    # The same on every machine.
    assert split_by_hash(same('abcd'), 0.25) == {'d'}


def test_limits():
    assert split_by_hash(same(IMAGES), 0.0) == set()
    assert split_by_hash(same('a'), 0.5) == set()
    assert len(split_by_hash(same('ab'), 0.01)) == 1
    assert len(split_by_hash(same('ab'), 0.99)) == 1
    assert len(split_by_hash(same(map(str, range(9000))), 0.5)) == 500


def test_candidates():
    val = split_by_hash(same(IMAGES), 0.5, IMAGES[:7])
    assert val == set(IMAGES[:7])


def test_the_last_image_of_a_class_stays_in_training():
    labels = dict.fromkeys(IMAGES, (1,))
    alone = split_by_hash(labels, 0.1)
    rare = min(alone)
    val = split_by_hash({**labels, rare: (1, 2)}, 0.1)
    assert rare not in val
    assert len(val) == len(alone)
    # Of two, one stays.
    pair = sorted(alone)[:2]
    val = split_by_hash({**labels, **dict.fromkeys(pair, (1, 2))}, 0.1)
    assert len(val & set(pair)) == 1
    # Where no image can be spared, none is kept.
    assert split_by_hash({'a': (1,), 'b': (2,)}, 0.5) == set()


def test_list(tmp_path):
    path = tmp_path / 'val.txt'
    path.write_text('003\n007.jpg\n')
    assert read_val_list(path, IMAGES) == {'003.jpg', '007.jpg'}


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            '003\nx\ny\n',
            '2 images that lack labels or are missing; the first is x',
        ),
        ('\n', 'names no image'),
        ('\n'.join(IMAGES), 'leaves no image'),
        (None, 'does not exist'),
    ],
)
def test_wrong_list(tmp_path, text, message):
    path = tmp_path / 'val.txt'
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_val_list(path, IMAGES)
