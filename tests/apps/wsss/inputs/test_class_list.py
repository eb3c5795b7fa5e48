import pytest

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.inputs.classes import parse_classes, read_classes
from mmseg_weakclip.common.masks import label_colors

FULL = """
classes:
  - name: dog
    display: Dogs, all kinds
    prompts: [dog, puppy]
    color: '#0a0b0c'
  - bird
  - name: 7
    color: [1, 2, 3]
background: [sky, wall]
"""


def test_yaml(tmp_path):
    path = tmp_path / 'classes.yaml'
    path.write_text(FULL)
    classes = read_classes(str(path))
    assert classes.names == ('background', 'dog', 'bird', '7')
    dog, bird, _ = classes.classes
    assert dog.display == 'Dogs, all kinds'
    assert dog.prompts == ('dog', 'puppy')
    assert bird.prompts == (bird.display,) == ('bird',)
    assert classes.background == ('sky', 'wall')
    assert classes.palette == [
        [0, 0, 0], [10, 11, 12], label_colors(3)[2], [1, 2, 3]
    ]  # fmt: skip


def test_names_and_known_lists(tmp_path):
    assert read_classes('cat, dog').names[1:] == ('cat', 'dog')
    assert read_classes('cat,').names[1:] == ('cat',)
    assert len(read_classes('voc').classes) == 20
    path = tmp_path / 'names.txt'
    path.write_text('cat\nteddy bear\n')
    assert read_classes(str(path)).names[1:] == ('cat', 'teddy bear')
    assert read_classes('cat,dog').background is None


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'no list `classes`'),
        ({'names': ['a']}, 'no list `classes`'),
        ({'classes': 'a, b'}, 'is not a list'),
        # YAML's no, a number with a point, and nothing.
        ({'classes': ['a', False]}, 'False is not a name'),
        ({'classes': [1.5]}, '1.5 is not a name'),
        ({'classes': ['a', '']}, 'is not a name'),
        ({'classes': ['a', 'A']}, 'same name'),
        ({'classes': [{'prompts': ['a']}]}, 'has no `name`'),
        ({'classes': [{'name': 'a', 'colour': 1}]}, "'a' has `colour`"),
        ({'classes': [{'name': 'a', 'color': [1, 2, 256]}]}, 'color'),
        ({'classes': [{'name': 'a', 'color': '#12345g'}]}, 'color'),
        (
            {'classes': ['a'], 'background': 'sky'},
            '`background` is not a list',
        ),
        ({'classes': ['a'], 'palette': []}, 'has `palette`'),
        ({'classes': [str(i) for i in range(255)]}, '255 classes'),
    ],
)
def test_wrong_content(content, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_classes(content, 'c.yaml')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        ('no.yaml', 'does not exist'),
        ('no.txt', 'does not exist'),
        ('vocc', 'write "vocc,"'),
    ],
)
def test_wrong_spec(spec, message):
    with pytest.raises(UserError, match=message):
        read_classes(spec)


def test_broken_yaml(tmp_path):
    path = tmp_path / 'c.yml'
    path.write_text('classes: [a\nb: c]')
    with pytest.raises(UserError, match=r'c\.yml is not valid YAML.*line 2'):
        read_classes(str(path))


@pytest.mark.parametrize('spec', ['cat,Background', 'classes.yaml'])
def test_the_background_is_not_listed(tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'classes.yaml').write_text('classes: [cat, background]')
    with pytest.raises(UserError, match='remove it from the classes'):
        read_classes(spec)
    (tmp_path / 'classes.yaml').write_text('classes: [Background, cat]')
    assert read_classes('classes.yaml').names == ('background', 'cat')
