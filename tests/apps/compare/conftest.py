"""Folders of runs made by hand."""

import pytest
from PIL import Image

from mmseg_weakclip.apps.compare.contenders import Contender
from mmseg_weakclip.apps.compare.results import Result
from mmseg_weakclip.apps.run_folder.schema import (
    RunClass,
    RunImage,
    StageRecord,
)
from mmseg_weakclip.apps.run_folder.store import RunFolder

CLASSES = (
    RunClass('background'),
    RunClass('<cat>', '<cat>', (255, 0, 0)),
    RunClass('dog', 'dog', (0, 0, 255)),
)
SIZE = (30, 40)


def make_result(folder, title, masks, method='excel', truth=None):
    """The run of a method, with these masks by the photo's name."""
    images = []
    for name, mask in masks.items():
        (folder / 'data/images').mkdir(parents=True, exist_ok=True)
        (folder / 'masks/masks').mkdir(parents=True, exist_ok=True)
        Image.new('RGB', SIZE[::-1], (9, 9, 9)).save(
            folder / f'data/images/{name}.png'
        )
        Image.fromarray(mask).save(folder / f'masks/masks/{name}.png')
        if truth is not None:
            Image.fromarray(truth).save(folder / f'data/{name}_t.png')
        images.append(
            RunImage(
                id=name,
                source=f'sub/{name}.jpg',
                file=f'images/{name}.png',
                size=SIZE,
                original_size=SIZE,
                split='train',
                labels=('<cat>',),
                truth=f'{name}_t.png' if truth is not None else None,
            )
        )
    seconds = dict(data=99.0, cam=40.0, seeds=6.0, masks=2.0, report=77.0)
    run = RunFolder(
        folder=folder,
        options={},
        versions={},
        notes=('a <note>',),
        stages=tuple(
            StageRecord(name, name, seconds=value)
            for name, value in seconds.items()
        ),
        classes=CLASSES,
        images=tuple(images),
    )
    contender = Contender(title, method, None, folder)
    return Result(contender, run, {one.source: one for one in images})


@pytest.fixture(name='make_result')
def give_make_result():
    return make_result
