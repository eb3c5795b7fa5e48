import json

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.run_folder.schema import OUTSIDE
from mmseg_weakclip.apps.wsss.outside.import_masks import (
    import_masks,
    resize_values,
)
from mmseg_weakclip.apps.wsss.outside.tally import (
    describe_import,
    write_findings,
)
from mmseg_weakclip.pseudo_masks.store import MaskStore


def bring(world, sources, **options):
    run = world.run(sources, **options)
    folder = run.folder / 'seeds'
    summary = import_masks(run, sources.outside, folder, dict(masks='x'))
    return run, summary


def test_masks_become_seeds(world, rows):
    """A class that is not tagged goes, a mask that is missing is open."""
    world.save('a', rows(0, 1, 2, 255))
    world.save('b', rows(0, 1))
    # At the size of the user's file; the copy is half as large.
    world.save('d', rows(2, 0, size=(16, 24)))
    world.save('u', rows(1, 1))
    run, summary = bring(world, world.sources())
    assert world.mask('a').tolist() == rows(0, 1, 255, 255).tolist()
    assert world.mask('b').tolist() == rows(0, 1).tolist()
    assert (world.mask('c') == 255).all()
    assert world.mask('d').tolist() == rows(2, 0).tolist()
    # Without labels nothing vetoes.
    assert not (run.folder / 'seeds/masks/u.png').exists()
    listed = (run.folder / 'seeds/train.txt').read_text()
    assert listed.split() == ['a.jpg', 'b.jpg', 'd.jpg']
    records = MaskStore(run.folder / 'seeds').finished()
    assert records['b']['classes'] == [0, 1, 2]
    assert records['b']['pixels'] == dict(cat=48, dog=0)
    assert records['a']['removed'] == dict(dog=24)
    assert json.loads((run.folder / OUTSIDE).read_text()) == summary
    assert summary['vetoed'] == dict(dog=dict(pixels=24, images=['a.jpg']))
    assert summary['absent'] == dict(dog=dict(images=['b.jpg'], of=3))
    assert summary['missing'] == summary['left_out'] == ['c.jpg']
    assert summary['labelled'] == pytest.approx((0.5 + 1 + 0 + 1) / 4)
    (run.folder / 'results').mkdir()
    write_findings(run.folder)
    rows = (run.folder / 'results/outside_masks.csv').read_text().split('\n')
    assert rows == [
        'image,class,finding', 'a.jpg,dog,vetoed', 'b.jpg,dog,no pixel',
        'c.jpg,,no mask', '',
    ]  # fmt: skip
    lines = '\n'.join(describe_import(summary))
    assert '3 masks read as PNGs with an id per pixel; 62 % of' in lines
    assert '1 image without a mask: c.jpg' in lines
    assert 'vetoed: dog in 1 image without that label, 24 pixels' in lines
    assert 'label without a pixel: dog in 1 of 3 images: b.jpg' in lines
    assert 'left out of the training: c.jpg' in lines


def test_masks_of_the_copies_size(world, rows):
    world.save('d', rows(2, 0))
    bring(world, world.sources())
    assert world.mask('d').tolist() == rows(2, 0).tolist()


def test_masks_stand_upright(world, rows):
    """As a viewer shows the photo, whatever the file's orientation."""
    photo = Image.new('RGB', (8, 12))
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(world.folder / 'photos/a.jpg', exif=exif)
    world.save('a', rows(0, 1, size=(8, 12)))
    bring(world, world.sources())
    assert world.mask('a').tolist() == rows(0, 1).tolist()
    world.save('a', rows(0, 1, size=(12, 8)))
    with pytest.raises(UserError, match='without the EXIF rotation'):
        bring(world, world.sources())


def test_what_the_rest_is(world, rows):
    world.save('a', rows(0, 1))
    world.save('b', rows(0, 1))
    bring(world, world.sources(), seed_rest='complete')
    assert world.mask('a').tolist() == rows(0, 1).tolist()
    assert world.mask('b').tolist() == rows(255, 1).tolist()
    bring(world, world.sources(), seed_rest='unsure')
    assert world.mask('a').tolist() == rows(255, 1).tolist()


def test_a_mask_for_each_class(world, rows):
    """The cat lies on the dog, as it is smaller; missing dogs are open."""
    world.save('b/dog', rows(0, 255))
    world.save('b/cat_1', rows(0, 0, 0, 1))
    world.save('a_cat_2', rows(0, 0, 0, 7))
    world.save('d/cat', rows(0, 1))
    bring(world, world.sources(classes=None))
    assert world.mask('b').tolist() == rows(0, 0, 2, 1).tolist()
    assert world.mask('a').tolist() == rows(0, 0, 0, 1).tolist()
    assert (world.mask('d') == 255).all()


def test_their_ids_by_their_names(world, rows):
    names = world.seeds / 'classes.txt'
    names.write_text('_background_\nDog\nwolf\ncat\n')
    world.save('b', rows(0, 1, 2, 3))
    sources = world.sources(classes=None)
    assert sources.outside.names == ('Dog', 'wolf', 'cat')
    bring(world, sources)
    assert world.mask('b').tolist() == rows(0, 2, 255, 1).tolist()
    sources = world.sources(classes=None, seed_classes='cat,dog,x')
    bring(world, sources, seed_classes='cat,dog,x')
    assert world.mask('b').tolist() == rows(0, 1, 2, 255).tolist()


@pytest.mark.parametrize(
    ('name', 'ids', 'size', 'said'),
    [
        ('a', (0, 1), (8, 10), 'a.png is 8 x 10 (height x width), its image'),
        ('a', (0, 1), (12, 8), 'without the EXIF rotation'),
        ('a', (0, 7), (8, 12), 'a.png has ids [7]; this data set knows 0 to'),
        ('a', (0, 7), (8, 12), 'by --seed-classes'),
        ('a', (0, 255), (8, 12), '--seeds leaves no pixel to train on'),
    ],
)
def test_masks_that_cannot_be_used(world, rows, name, ids, size, said):
    world.save(name, rows(*ids, size=size))
    if 'no pixel' in said:
        world.save(name, rows(2, 255))
    with pytest.raises(UserError) as error:
        bring(world, world.sources())
    assert said in str(error.value)


def test_all_wrong_masks_are_counted(world, rows):
    world.save('a', rows(0, 9))
    world.save('b', rows(0, 9))
    with pytest.raises(UserError, match='^2 masks of --seeds cannot be used'):
        bring(world, world.sources())


def test_seeds_are_made_anew(world, rows):
    world.save('a', rows(0, 1))
    run, _ = bring(world, world.sources())
    (run.folder / 'seeds/masks/old.png').touch()
    bring(world, world.sources())
    assert not (run.folder / 'seeds/masks/old.png').exists()


def test_a_digest_of_all_files(world, rows):
    world.save('a', rows(0, 1))
    first = world.sources().outside.digest()
    assert world.sources().outside.digest() == first
    world.save('a', rows(1, 0))
    changed = world.sources().outside.digest()
    world.save('b', rows(1, 0))
    assert len({first, changed, world.sources().outside.digest()}) == 3


def test_values_are_resized_to_the_nearest():
    values = np.array([[-1, 0], [300, 2]])
    found = resize_values(values, (4, 2))
    assert found.tolist() == [[-1, 0], [-1, 0], [300, 2], [300, 2]]
    assert resize_values(values, (2, 2)) is values


def test_masks_of_0_and_255_are_refused(world, rows):
    """As ids they say background and unsure, and nothing of any class."""
    for name in 'ab':
        world.save(name, rows(0, 255))
    with pytest.raises(UserError, match='none of 2 masks .*IMAGE_CLASS.png'):
        bring(world, world.sources())
    # One mask with a class will do, and one whose class is vetoed.
    for other in (1, 2):
        world.save('a', rows(0, other))
        bring(world, world.sources())
