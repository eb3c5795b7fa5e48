import pytest

from mmseg_weakclip.datasets.labels.named_classes import named_classes
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow


def file_of(counts, classes=None):
    rows = [
        LabelRow(f'line {i}', f'{i}.jpg', (name,))
        for i, name in enumerate(
            name for name, number in counts.items() for _ in range(number)
        )
    ]
    return LabelFile('tags.csv', 'table', tuple(rows), classes)


@pytest.mark.parametrize(
    ('counts', 'name'),
    [
        (dict(Cat=5, cat=1), 'cat'),
        (dict(BMW=5), 'BMW'),
        (dict(BMW=2, Bmw=1), 'BMW'),
        ({'sofa': 3, 'couch': 2}, 'sofa'),
        ({'sofa': 2, 'couch': 3}, 'couch'),
        ({'TV monitor': 3, 'tv': 1}, 'tv'),
        ({'fire-hydrant': 1, 'fire hydrant': 2}, 'fire hydrant'),
    ],
)
def test_one_class(counts, name):
    names, notes = named_classes(file_of(dict(counts, dog=3)))
    assert set(names) == {name, 'dog'}
    assert len(notes) == (len(counts) > 1)


def test_notes():
    counts = {'Cat': 1, 'cat': 2, 'sofa': 3, 'couch': 2}
    _, notes = named_classes(file_of(counts))
    assert notes == [
        "one class, called 'sofa', with: couch (2x)",
        'one class each, spelled in several ways: cat (Cat)',
    ]


@pytest.mark.parametrize(
    ('counts', 'message'),
    [
        (
            dict(zebra=20, zebbra=1),
            r"line 20: 'zebbra' appears 1 time, 'zebra' 20 times",
        ),
        (dict(dog=3, dogs=3), r"'dogs' appears 3 times, 'dog' 3 times"),
        (dict(bus=2, buses=9), r"'buses' appears 9 times, 'bus' 2 times"),
        ({}, 'tags.csv names no class'),
    ],
)
def test_what_a_person_has_to_settle(counts, message):
    with pytest.raises(ValueError, match=message) as caught:
        named_classes(file_of(counts))
    if counts:
        assert '--classes "' in str(caught.value)


def test_the_files_own_list_stands():
    file = file_of(dict(dogs=1, dog=1), ('dogs', 'dog', 'bird'))
    assert named_classes(file) == (('dogs', 'dog', 'bird'), [])
