import shutil

import numpy as np
import pytest

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.arguments import parse_args, read_options
from mmseg_weakclip.apps.wsss.inputs.understood import describe_sources


def understood(world, **options):
    sources = world.sources(**options)
    options.pop('classes', None)
    return '\n'.join(describe_sources(sources, world.options(**options)))


def test_what_was_understood(world, rows):
    for name in 'abux':
        world.save(name, rows(0, 1))
    text = understood(world)
    assert 'seeds, read as PNGs with an id per pixel: 2 images with a' in text
    assert 'ids as in --classes: 0 background, 1 cat, 2 dog' in text
    assert '1 mask called like no image: x.png' in text
    assert '2 labelled images without a mask: c.jpg, d.jpg' in text
    assert '1 image without labels, whose masks are not used' in text


def test_other_names(world, rows):
    world.save('a', rows(0, 1))
    text = understood(world, seed_classes='dogs,cat,moon')
    assert 'ids as in --seed-classes: 0 background, 1 dogs, 2 cat' in text
    assert 'unsure: dogs (did you mean dog?), moon' in text


def test_scores(world):
    np.savez(world.seeds / 'a.npz', scores=np.ones((1, 8, 12)), classes=[1])
    text = understood(world, seed_threshold=0.3)
    assert 'read as npz files with scores: 1 image with a mask' in text
    assert 'pixels without a score above 0.3 (--seed-threshold)' in text


def test_seeds_among_the_images_are_no_images(world, rows):
    world.save('a', rows(0, 1))
    inside = world.folder / 'photos/seeds'
    shutil.copytree(world.seeds, inside)
    sources = world.sources(seeds=str(inside))
    assert list(sources.ids) == [f'{name}.jpg' for name in 'abcdu']
    assert list(sources.outside.images) == ['a.jpg']


@pytest.mark.parametrize(
    ('files', 'options', 'said'),
    [
        ((), {}, 'holds no PNG and no npz file'),
        (('a.png', 'b.npz'), {}, 'holds PNG and npz files'),
        (('a.png',), dict(classes=None), 'needs --seed-classes or --classes'),
        (('x.png',), {}, 'no mask is called like an image'),
        (('a.png',), dict(seed_classes='x,y'), 'none of its classes (x, y)'),
        (('a.png',), dict(seed_classes='gone.txt'), 'gone.txt does not exist'),
        (('a.png',), dict(seed_classes='_background_'), 'no class but the'),
        ((), dict(seeds='/gone'), '--seeds /gone does not exist'),
    ],
)
def test_masks_that_cannot_be_found(world, files, options, said):
    for name in files:
        (world.seeds / name).touch()
    with pytest.raises(UserError) as error:
        world.sources(**options)
    assert said in str(error.value)


WORDS = ('--work-dir', 'out', '--images', 'i', '--labels', 'l.csv')


def read(*words, before=None):
    return read_options(parse_args(None, [*WORDS, *words]), before)


def test_seeds_alone_or_with_a_method():
    alone = read('--seeds', 'x')
    assert (alone.method, alone.clip, alone.joins) == ('seeds', None, False)
    assert alone.seeds.startswith('/')
    joined = read('--seeds', 'x', '--method', 'excel')
    assert joined.method == 'excel'
    assert joined.joins
    assert read().method == 'excel'
    assert not read().joins


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (('--method', 'seeds'), '--method seeds needs --seeds PATH'),
        (('--seed-rest', 'unsure'), '--seed-rest needs --seeds'),
        (('--seeds', 'x', '--seed-rest', 'y'), 'known: background, unsure'),
        (('--seeds', 'x', '--seed-threshold', '1'), 'is not in [0, 1)'),
        (('--seeds', 'x', '--truth', 'x'), 'no training may see the truth'),
        (('--seeds', 'x/y', '--truth', 'x'), 'no training may see the truth'),
        (('--seeds', 'x', '--clip', 'ViT-B/16'), 'seeds uses no CLIP'),
        (('--seeds', 'x', '--backbone', 'resnet18'), 'trains no classifier'),
    ],
)
def test_wrong_flags(words, said):
    with pytest.raises(UserError) as error:
        read(*words)
    assert said in str(error.value)
