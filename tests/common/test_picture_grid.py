import pytest
from PIL import Image

from mmseg_weakclip.common.overlay import GAP, TITLE, tile_pictures


def test_pictures_lie_under_their_titles():
    red, blue = (Image.new('RGB', (3, 5), name) for name in ('red', 'blue'))
    grid = tile_pictures({'a': [red, blue], 'b': [blue, blue]}, side=10)
    assert grid.size == (2 * (10 + GAP) + GAP, 2 * (10 + GAP) + TITLE)
    assert grid.getpixel((GAP, TITLE)) == (255, 0, 0)
    assert grid.getpixel((GAP + 9, TITLE + 9)) == (255, 0, 0)
    assert grid.getpixel((GAP + 10, TITLE)) == (255, 255, 255)
    assert grid.getpixel((GAP, TITLE + 10 + GAP)) == (0, 0, 255)
    assert grid.getpixel((2 * GAP + 10, TITLE)) == (0, 0, 255)


def test_uneven_columns():
    dot = Image.new('L', (1, 1))
    with pytest.raises(ValueError, match="'a': 1, 'b': 2"):
        tile_pictures({'a': [dot], 'b': [dot, dot]})
    with pytest.raises(ValueError, match='same number of pictures'):
        tile_pictures({})
