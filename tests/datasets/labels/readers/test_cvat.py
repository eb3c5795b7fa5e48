"""CVAT for images 1.1, as its document describes it."""

import pytest

SHAPES = (
    '<tag label="cat" source="manual"></tag>',
    '<box label="cat" xtl="1" ytl="1" xbr="2" ybr="2" z_order="0"></box>',
    '<polygon label="cat" points="1,1;2,2;1,2"></polygon>',
    '<polyline label="cat" points="1,1;2,2"></polyline>',
    '<points label="cat" points="1,1"></points>',
    '<mask label="cat" rle="0, 4" left="1" top="1" width="2" height="2"/>',
    '<ellipse label="cat" cx="1" cy="1" rx="1" ry="1"></ellipse>',
    '<cuboid label="cat" xtl1="1"></cuboid>',
    '<skeleton label="cat"><points label="tail"/></skeleton>',
)


def document(images, labels=('dog', 'cat'), holder='task'):
    names = ''.join(
        f'<label><name>{name}</name><color>#fff</color><attributes>'
        '<attribute><name>sex</name></attribute></attributes></label>'
        for name in labels
    )
    return (
        "<?xml version='1.0' encoding='utf-8'?><annotations><version>1.1"
        f'</version><meta><{holder}><name>pets</name><labels>{names}</labels>'
        f'</{holder}><dumped>2024</dumped></meta>{images}</annotations>'
    )


@pytest.mark.parametrize('shape', SHAPES)
def test_each_shape(put, read, shape):
    image = f'<image id="3" name="a/b.jpg" width="4">{shape}</image>'
    file = read(put('x.xml', document(image)))
    assert file.kind == 'CVAT XML'
    assert file.classes == ('dog', 'cat')
    (row,) = file.rows
    assert (row.image, row.names) == ('a/b.jpg', ('cat',))
    assert row.place == 'image 3 (a/b.jpg)'


@pytest.mark.parametrize('holder', ['task', 'job', 'project'])
def test_labels_of_any_meta(put, read, holder):
    image = '<image id="0" name="a.jpg"/>'
    file = read(put('x.xml', document(image, holder=holder)))
    assert file.classes == ('dog', 'cat')
    assert file.rows[0].names == ()


def test_a_project_with_tasks_has_its_labels_once(put, read):
    text = document('<image id="0" name="a.jpg"/>', holder='project')
    part = '<tasks><task><id>1</id><name>one</name></task></tasks></project>'
    file = read(put('x.xml', text.replace('</project>', part)))
    assert file.classes == ('dog', 'cat')


def test_without_meta(put, read):
    text = (
        f'<annotations><image name="a.jpg">{SHAPES[0]}</image></annotations>'
    )
    file = read(put('x.xml', text))
    assert file.classes is None
    assert file.rows[0].names == ('cat',)


def test_what_models_made_is_counted(put, read):
    shapes = SHAPES[0] + SHAPES[1].replace('label', 'source="auto" label')
    image = f'<image id="0" name="a.jpg">{shapes}<future/></image>'
    notes = ' '.join(read(put('x.xml', document(image))).notes)
    assert '1 of 2 labels made by a model' in notes
    assert '1 <future>' in notes


@pytest.mark.parametrize(
    ('images', 'message'),
    [
        ('<image id="4" name="a.jpg"><box xtl="1"/></image>', '<box> has no'),
        ('<image id="4"/>', 'image 4: it has no name'),
        ('<image id="4" name="a"><tag label="cow"/></image>', "'cow'"),
        ('<track label="cat"/>', 'export of a video'),
        ('<image', 'not valid XML'),
    ],
)
def test_defects(put, refused, images, message):
    assert message in refused(put('x.xml', document(images)))


def test_entities_do_not_grow(put, refused):
    lines = ['<!ENTITY e0 "ha">']
    lines += [f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 20)]
    head = f'<!DOCTYPE x [{"".join(lines)}]>'
    body = '<annotations><image name="&e19;"/></annotations>'
    for encoding in ('utf-8', 'utf-16'):
        path = put('x.xml', (head + body).encode(encoding))
        assert 'entities' in refused(path)
    # Behind the part that is looked at, expat stops them, or they are unknown.
    late = f'<!--{"x" * 70000}-->{head}{body}'
    assert 'not valid XML' in refused(put('x.xml', late))


def test_files_are_not_fetched(put, refused, tmp_path):
    put('secret.txt', 'secret')
    head = (
        f'<!--{"x" * 70000}--><!DOCTYPE x [<!ENTITY s SYSTEM "secret.txt">]>'
    )
    body = '<annotations><image name="&s;"/></annotations>'
    message = refused(put('x.xml', head + body))
    assert 'not valid XML' in message
    assert "'secret'" not in message


def test_a_large_file_needs_little_memory(put, read):
    import tracemalloc

    image = '<image id="0" name="{}.jpg"><mask label="cat" rle="{}"/></image>'
    rle = '1, ' * 5000
    path = put(
        'x.xml', document(''.join(image.format(i, rle) for i in range(1000)))
    )
    tracemalloc.start()
    assert len(read(path).rows) == 1000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 5
