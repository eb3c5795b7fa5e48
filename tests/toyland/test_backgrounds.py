import json
import re
from collections import Counter

import pytest

from mmseg_weakclip.toyland.backgrounds import scene_backgrounds
from mmseg_weakclip.toyland.objects import USUAL_BACKGROUND
from mmseg_weakclip.toyland.scenes import SceneStyle
from mmseg_weakclip.toyland.textures import BACKGROUNDS
from mmseg_weakclip.toyland.writer import write_toyland


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('world') / 'toyland'
    style = SceneStyle(counts=(0.0, 1.0), usual=0.9)
    write_toyland(root, 30, 10, seed=3, style=style, workers=1)
    return root


def test_captions_agree(root):
    captions = json.loads((root / 'captions.json').read_text())
    told = 0
    for split, count in (('train', 30), ('val', 10)):
        truth = scene_backgrounds(root, split)
        assert len(truth) == count
        for image_id, texture in truth.items():
            words = set(re.findall('[a-z]+', captions[image_id]))
            said = words & set(BACKGROUNDS)
            assert said <= {texture}
            told += len(said)
    assert told > 10


def test_usual_backgrounds(root):
    labels = json.loads((root / 'image_labels.json').read_text())['labels']
    truth = scene_backgrounds(root, 'train')
    usual = Counter(
        USUAL_BACKGROUND[labels[image_id][0]] == texture
        for image_id, texture in truth.items()
    )
    assert usual[True] > 3 * usual[False]


def test_bad_input(root, tmp_path):
    with pytest.raises(FileNotFoundError, match='is not a toyland.*make_toy'):
        scene_backgrounds(tmp_path, 'train')
    with pytest.raises(ValueError, match="split='test'"):
        scene_backgrounds(root, 'test')
