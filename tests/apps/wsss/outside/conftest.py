import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.wsss.inputs.classes import read_classes
from mmseg_weakclip.apps.wsss.inputs.given import read_sources
from mmseg_weakclip.apps.wsss.inputs.prepare import prepare_data
from mmseg_weakclip.apps.wsss.options import Options
from mmseg_weakclip.apps.wsss.run import Run
from mmseg_weakclip.common.masks import encode_mask, read_mask

ROWS = 'image,labels\na,cat\nb,cat;dog\nc,dog\nd,dog\n'


class World:
    """Four images of 8 x 12, the last 16 x 24, and masks of another tool.

    ``u`` has no label. The classes are cat and dog.
    """

    def __init__(self, folder):
        self.folder = folder
        self.seeds = folder / 'seeds'
        (folder / 'photos').mkdir()
        self.seeds.mkdir()
        (folder / 'labels.csv').write_text(ROWS)
        for name in 'abcdu':
            size = (16, 24) if name == 'd' else (8, 12)
            Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(
                folder / f'photos/{name}.jpg'
            )

    def save(self, name, mask):
        path = self.seeds / f'{name}.png'
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(encode_mask(np.asarray(mask, np.uint8), [[0] * 3]))

    def options(self, **options):
        return Options(
            **{
                'images': str(self.folder / 'photos'),
                'labels': str(self.folder / 'labels.csv'),
                'work_dir': str(self.folder / 'out'),
                'seeds': str(self.seeds),
                'method': 'seeds',
                'max_side': 12,
                **options,
            }
        )

    def sources(self, classes='cat,dog', **options):
        given = read_classes(classes) if classes else None
        return read_sources(self.options(**options), given)

    def run(self, sources, **options):
        """A run whose data is prepared."""
        folder, options = self.folder / 'out', self.options(**options)
        run = Run.begin(folder, options, sources.classes)
        done = prepare_data(options, sources, folder, 1)
        return run.with_images(done.images)

    def mask(self, name, folder='seeds'):
        return read_mask(str(self.folder / f'out/{folder}/masks/{name}.png'))


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def rows(*ids, size=(8, 12)):
    """A mask of rows, of the same height each."""
    return np.repeat(np.array(ids), size[0] // len(ids))[:, None].repeat(
        size[1], 1
    )


@pytest.fixture(name='rows')
def rows_fixture():
    return rows
