"""Pictures of groups: what lies where."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from pictures import draw_groups, paint_ids
from PIL import Image

from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.scenes import make_scene


@pytest.fixture
def checkpoint(repo, tmp_path):
    """toyland's SegCLIP before its training."""
    config = repo / 'configs/toyland/segclip.py'
    model = MODELS.build(Config.fromfile(config).model)
    model.decode_head.text.set_names(CLASSES)
    path = tmp_path / 'start.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return config, path


def colors_of(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(color) for color in picture.reshape(-1, 3).tolist()}


def test_ids_have_the_colours_of_voc():
    picture = np.asarray(paint_ids(np.array([[0, 1], [2, 0]]), first=1))
    colors = label_colors(4)
    assert picture[0, 0].tolist() == colors[1]
    assert picture[1, 0].tolist() == colors[3]


def test_image_groups_and_prediction(checkpoint, tmp_path):
    images = []
    for index in range(2):
        images.append(tmp_path / f'{index}.png')
        scene = make_scene(0, index, 96)
        Image.fromarray(scene.image).save(images[-1])
    picture = np.asarray(draw_groups(*checkpoint, images))
    # Three columns of 144 pixels, a row for each image, titles above.
    assert picture.shape == (20 + 2 * 152, 8 + 3 * 152, 3)
    palette = [tuple(color) for color in label_colors(256)]
    for row in range(2):
        top = 20 + row * 152
        cells = [
            picture[top : top + 144, left : left + 144]
            for left in (8, 160, 312)
        ]
        source = Image.open(images[row]).resize((144, 144), 0)
        assert np.array_equal(cells[0], np.asarray(source))
        # Eight groups, none of them black; eight classes and background.
        assert colors_of(cells[1]) <= set(palette[1:9])
        assert len(colors_of(cells[1])) > 1
        assert colors_of(cells[2]) <= set(palette[:9])
