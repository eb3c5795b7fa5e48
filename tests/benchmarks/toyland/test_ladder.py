"""The ladder's report, and that its rows are what they say."""

import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config, DictAction
from option_rows import (
    relation_rows,
    segmenter_rows,
    tagged_rows,
    untagged_rows,
)
from PIL import Image
from report import (
    COLUMNS,
    cell,
    draw_rows,
    extraction_quality,
    folder_quality,
    report,
    usual_background_share,
    usual_scenes,
)
from rows import (
    CRITICS,
    EXTRACTION,
    PAINTED_MAPS,
    PAINTED_MASKS,
    SEEDS_OPTION,
    START,
    seed_rows,
    trained_rows,
)

from mmseg_weakclip.evaluation.threshold_metrics import PrecisionRecall
from mmseg_weakclip.models.clims.background_cache import BackgroundCache
from mmseg_weakclip.pseudo_masks.store import save_scores
from mmseg_weakclip.toyland.backgrounds import scene_backgrounds
from mmseg_weakclip.toyland.objects import CLASSES, USUAL_BACKGROUND
from mmseg_weakclip.toyland.writer import MASKS, write_toyland

NAMES = ('val_00000', 'val_00001', 'val_00002')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('ladder') / 'toyland'
    write_toyland(root, 1, len(NAMES), workers=1)
    return root


@pytest.fixture(scope='module')
def folder(root, tmp_path_factory):
    """Maps that know the truth, one of them upside down."""
    folder = tmp_path_factory.mktemp('maps')
    for index, name in enumerate(NAMES):
        truth = np.array(Image.open(root / f'{MASKS}/{name}.png'))
        classes = np.unique(truth[truth > 0])
        maps = torch.from_numpy(truth == classes[:, None, None]).float()
        if index == 0:
            maps[0] = 1 - maps[0]
        path = folder / f'scores/{name}.npz'
        path.parent.mkdir(exist_ok=True)
        save_scores(path, maps, classes, stride=1)
        path = folder / f'masks/{name}.png'
        path.parent.mkdir(exist_ok=True)
        shutil.copy(root / f'{MASKS}/{name}.png', path)
    return folder


def test_quality_of_a_folder(root, folder):
    files = [np.load(folder / f'scores/{name}.npz') for name in NAMES]
    count = sum(len(file['classes']) for file in files)
    quality = folder_quality(root, folder, 'val')
    assert quality['wrong_sign'] == pytest.approx(100 / count)
    assert quality['coverage'] == pytest.approx(100 * (count - 1) / count)


def test_marks_on_usual_background(root, folder, tmp_path):
    assert usual_background_share(root, folder, 'val') == 0
    backgrounds = scene_backgrounds(root, 'val')
    (tmp_path / 'masks').mkdir()
    share, parts = 0, 0
    for name in NAMES:
        truth = np.array(Image.open(root / f'{MASKS}/{name}.png'))
        label = int(truth[truth > 0][0])
        # All of it is called the first object.
        mask = np.full_like(truth, label)
        Image.fromarray(mask).save(tmp_path / f'masks/{name}.png')
        for other in np.unique(truth[truth > 0]):
            if USUAL_BACKGROUND[CLASSES[other - 1]] == backgrounds[name]:
                parts += (truth == 0).sum()
                share += (truth == 0).sum() * (other == label)
    expected = pytest.approx(100 * share / parts)
    assert usual_background_share(root, tmp_path, 'val') == expected


def test_scenes_of_objects_where_they_usually_are(root):
    backgrounds = scene_backgrounds(root, 'val')
    expected = []
    for name in NAMES:
        truth = np.array(Image.open(root / f'{MASKS}/{name}.png'))
        first = CLASSES[np.unique(truth)[1] - 1]
        if USUAL_BACKGROUND[first] == backgrounds[name]:
            expected.append(name)
    assert 0 < len(expected) < len(NAMES)
    assert usual_scenes(root, 'val', 9) == expected
    assert usual_scenes(root, 'val', 1) == expected[:1]


def test_extracted_texts_against_the_texture(root):
    textures = scene_backgrounds(root, 'val')
    one, two, _ = NAMES
    cache = BackgroundCache(
        CLASSES,
        {
            one: {'car': ((textures[one], 1.0), ('wheels', 0.5))},
            two: {'car': (), 'boat': ((textures[two], 1.0),)},
        },
    )
    found = extraction_quality(root, cache, 'val')
    assert found == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_picture(root, folder):
    picture = draw_rows(root, {'a': folder}, {'b': folder}, NAMES[:2])
    # Image, map, mask and truth; a row for each scene.
    assert picture.size == (4 * 128 + 8, 2 * 128 + 20)
    colors = np.asarray(picture.convert('RGB'))
    mask, truth = colors[:, 264:384], colors[:, 392:512]
    assert (mask[20:] == truth[20:]).all()


def test_cells():
    assert cell([1.25]) == '1.2'
    assert cell([1.0, 2.0]) == '1.5 ± 0.5'
    assert cell([1.0, None]) == ''


def test_report():
    rows = {
        ('plain', 'yes'): [{'raw': 11.0, 'refined': None, 'minutes': 2.0}],
        ('trained', 'no'): [{'raw': 60.0}, {'raw': 62.0}],
    }
    extraction = PrecisionRecall(0.5, 0.25)
    lines = report(rows, 'an abacus', 2, 'plain', extraction).splitlines()
    assert '50% of cases' in lines[6]
    assert '25% of objects' in lines[6]
    assert 'an abacus' in lines[2]
    assert len({line.count('|') for line in lines[-4:]}) == 1
    assert len(COLUMNS) + 3 == lines[-1].count('|')
    assert '| plain | yes | 11.0 |  |' in lines[-2]
    assert '| trained | no | 61.0 ± 1.0 |' in lines[-1]


def test_rows_are_configs_that_exist(repo):
    regions = repo / 'regions'
    rows = [
        *seed_rows(),
        *tagged_rows(regions),
        *untagged_rows(regions),
        *trained_rows(repo),
        *relation_rows(),
        *segmenter_rows(repo),
    ]
    names = [row.name for row in rows]
    assert len({row.folder() for row in rows}) == len(names)
    assert {START, *CRITICS, *PAINTED_MAPS, *PAINTED_MASKS} <= {*names}
    for row in rows:
        # Relative paths would be looked for below the data set.
        seeds = [o for o in row.training_options if SEEDS_OPTION in o]
        assert all(f'={repo}/' in option for option in seeds)
        on_masks = row.training in ('weakclip.py', 'segmenter.py')
        assert bool(seeds) == on_masks
        folder = repo / 'configs/toyland'
        pairs = [option.split('=', 1) for option in row.options]
        parsed = {
            key: DictAction._parse_iterable(value) for key, value in pairs
        }
        config = Config.fromfile(folder / row.config)
        config.merge_from_dict(parsed)
        assert 'model' in config
        assert row.training is None or (folder / row.training).is_file()
    assert (repo / EXTRACTION).is_file()
