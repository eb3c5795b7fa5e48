"""The page of a comparison, from folders of runs made by hand."""

import re

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.compare.page import (
    MethodComparison,
    paint_photo,
    render_comparison,
)
from mmseg_weakclip.apps.compare.results import common_photos
from mmseg_weakclip.apps.errors import UserError

SIZE = (30, 40)


@pytest.fixture
def comparison(tmp_path, make_result):
    half, full = (np.zeros(SIZE, np.uint8) for _ in range(2))
    half[:15] = 1
    full[:] = 1
    results = [
        make_result(tmp_path / 'a', 'excel', dict(x=half, y=half), truth=half),
        make_result(tmp_path / 'b', 'cam', dict(x=full, y=full), 'cam'),
    ]
    photos = ['sub/x.jpg', 'sub/y.jpg']
    return MethodComparison(
        results=results,
        photos=photos,
        masks=[[one.mask(path) for path in photos] for one in results],
        truths=[results[0].truth('sub/x.jpg'), None],
        commands=['go excel', 'go <cam>'],
        missing=1,
        labelled=7,
    )


def test_times(comparison):
    excel, cam = comparison.results
    # Trainings of its own only; no data, and nothing behind the masks.
    assert cam.training_seconds == 40
    assert cam.seconds_per_photo == (6 + 2) / 2
    assert excel.training_seconds == 0
    assert (excel.trained_on, cam.trained_on) == (0, 2)


def test_page(comparison):
    assert comparison.pairs[0, 1].pixels == 0.5
    # The class of half a photo is half right; the background is missed.
    excel, cam = comparison.scores
    assert (excel, cam) == (100, 25)
    html = render_comparison(comparison)
    assert html.count('<img') == 2 * 3 + 1
    for text in (
        'same 2 of your 7 photos',
        'Of 1 more',
        'cam was trained on 2 photos',
        'on the 1 of these photos',
        'A score on so few photos is rough',
        'go &lt;cam&gt;',
        'a &lt;note&gt;',
        'everywhere (more than 90 %)',
    ):
        assert text in html, text
    assert '<cat>' not in html
    assert not re.search(r'src="(?!data:)|https?://|<script', html)
    # Both photos of the tag are covered by one method.
    assert '<span class="many">2</span>' in html


def test_unsure_pixels_on_the_page(comparison):
    """A method that is sure of little must not seem to be the best."""
    few = np.full(SIZE, 255, np.uint8)
    few[:3] = 1
    none = np.full(SIZE, 255, np.uint8)
    masks = [comparison.masks[0], [few, none]]
    unsure = MethodComparison(**{**vars(comparison), 'masks': masks})
    # Of the upper half, a fifth is found; of the background, nothing.
    assert unsure.scores == [100, pytest.approx(100 / 5 / 2)]
    assert unsure.pairs[0, 1].pixels == 1
    assert unsure.coverage == [1, pytest.approx(0.05)]
    html = render_comparison(unsure)
    for text in (
        'unsure count as wrong',
        'leaves unsure are left out of both',
        '<td>10.0</td><td>5 %</td>',
        'no class <span class="amount">90 %</span>',
        'no class <span class="amount">100 %</span>',
    ):
        assert text in html, text
    assert 'background only' not in html


def test_page_without_truth(comparison):
    blind = MethodComparison(**{**vars(comparison), 'truths': [None, None]})
    assert blind.scores == [None, None]
    html = render_comparison(blind)
    assert 'mIoU</th>' not in html
    assert 'no scores without true masks' in html


def test_photos_that_all_methods_have(comparison):
    results = comparison.results
    del results[1].images['sub/y.jpg']
    chosen = ['sub/x.jpg', 'sub/y.jpg']
    assert common_photos(results, chosen) == ['sub/x.jpg']
    with pytest.raises(UserError, match=r'of 1: excel 1, cam 0'):
        common_photos(results, ['sub/y.jpg'])


def test_damaged_mask_is_named(comparison):
    result = comparison.results[0]
    path = result.run.mask_path('masks', 'x')
    Image.fromarray(np.full(SIZE, 3, np.uint8)).save(path)
    with pytest.raises(UserError, match=r'x\.png'):
        result.mask('sub/x.jpg')


def test_colours_lie_on_objects_only():
    photo = np.full((1, 3, 3), 100, np.uint8)
    mask = np.array([[0, 1, 255]], np.uint8)
    painted = paint_photo(photo, mask, [(1, 2, 3), (200, 0, 0)])
    blend = [0.45 * 100 + 0.55 * value for value in (200, 0, 0)]
    assert painted[0, 0].tolist() == [100, 100, 100]
    assert painted[0, 1].tolist() == [round(value) for value in blend]
    assert painted[0, 2].tolist() == [round(45 + 0.55 * 255)] * 3
