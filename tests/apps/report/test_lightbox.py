"""A photo in large, in Chromium: slider, keys and focus."""

import shutil

import pytest

from mmseg_weakclip.apps.report.page import write_report

pytest.importorskip('selenium')
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

STATE = """
const get = (id) => document.getElementById(id);
const stage = Array.from(get('stage').querySelectorAll('.on'));
return {
  open: get('lightbox').open,
  name: get('lightbox-name').textContent,
  place: get('lightbox-place').textContent,
  layer: get('layer').getAttribute('aria-valuetext'),
  shown: stage.map((s) => s.alt || s.textContent),
  legend: Array.from(get('side').querySelectorAll('.legend li'))
    .map((l) => l.textContent.trim().replace(/\\s+/g, ' ')),
  side: get('side').textContent,
  focus: document.activeElement.id ||
    document.activeElement.closest('.card')?.dataset.name,
};
"""


def state(page) -> dict:
    return page.execute_script(STATE)


def press(page, *keys) -> dict:
    ActionChains(page).send_keys(*keys).perform()
    return state(page)


def wait_for_focus(page, name: str) -> None:
    def closed(_) -> bool:
        found = state(page)
        return not found['open'] and found['focus'] == name

    WebDriverWait(page, 5).until(closed)


@pytest.fixture
def opened(page):
    """The page, with the worst photo opened by the keyboard."""
    page.execute_script("document.querySelector('.card .open').focus()")
    press(page, Keys.ENTER)
    return page


def test_it_opens_on_what_the_gallery_shows(opened):
    found = state(opened)
    assert found['open']
    assert found['name'] == '/photos/b.tif'
    assert found['place'] == '1 of 4'
    assert found['layer'] == 'prediction'
    assert found['focus'] == 'layer'
    (alt,) = found['shown']
    assert alt.startswith('prediction of /photos/b.tif: background 75 %')
    assert 'Disagreement' in found['side']
    assert 'pseudo mask and prediction disagree 67 %' in ' '.join(
        found['side'].split()
    )


def test_left_and_right_move_the_slider(opened):
    names = []
    for _ in range(5):
        names.append(press(opened, Keys.ARROW_LEFT)['layer'])
    # It stops at the end.
    assert names == ['pseudo mask', 'seed', 'image', 'image', 'image']
    assert state(opened)['shown'] == []
    assert press(opened, Keys.ARROW_RIGHT)['layer'] == 'seed'
    found = press(opened, Keys.END)
    assert found['layer'] == 'ground truth'
    assert found['shown'] == ['no ground truth']
    assert press(opened, Keys.HOME)['layer'] == 'image'
    assert state(opened)['name'] == '/photos/b.tif'


def test_up_and_down_move_to_the_next_photo(opened):
    found = press(opened, Keys.ARROW_DOWN)
    assert found['name'] == '/photos/a.tif'
    assert found['place'] == '2 of 4'
    assert found['layer'] == 'prediction'
    found = press(opened, Keys.ARROW_UP, Keys.ARROW_UP)
    assert found['place'] == '4 of 4'
    # Buttons do the same, and keys work on them too.
    opened.find_element('id', 'next').click()
    assert state(opened)['place'] == '1 of 4'
    opened.find_element('id', 'previous').click()
    found = press(opened, Keys.ARROW_LEFT)
    assert found['place'] == '4 of 4'
    assert found['layer'] == 'pseudo mask'


def test_legends_are_sorted_by_area(opened):
    found = press(opened, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.HOME)
    assert found['name'] == '/photos/c.tif'
    assert found['legend'] == []
    # Three rows of six, and two.
    found = press(opened, Keys.ARROW_RIGHT)
    assert found['legend'] == ['кошка $x$ 犬 50 %', '<b>dog</b> & "co" 33 %']


def test_only_photos_of_the_filter(page):
    page.execute_script(
        "const c = document.getElementById('class'); c.value = '1';"
        "c.dispatchEvent(new Event('change'));"
        "document.querySelector('.card:not([hidden]) .open').focus()"
    )
    assert press(page, Keys.ENTER)['place'] == '1 of 2'
    assert press(page, Keys.ARROW_DOWN, Keys.ARROW_DOWN)['place'] == '1 of 2'


def test_escape_closes_and_focus_returns(opened):
    press(opened, Keys.ESCAPE)
    wait_for_focus(opened, 'b')
    # To the photo that was seen last.
    press(opened, Keys.ENTER)
    press(opened, Keys.ARROW_DOWN, Keys.ESCAPE)
    wait_for_focus(opened, 'a')
    press(opened, Keys.ENTER)
    opened.find_element('id', 'close').click()
    wait_for_focus(opened, 'a')


def test_tab_stays_inside(opened):
    order = [press(opened, Keys.TAB)['focus'] for _ in range(5)]
    assert order == ['previous', 'next', 'close', 'layer', 'previous']
    for name in ('layer', 'close'):
        back = ActionChains(opened).key_down(Keys.SHIFT).send_keys(Keys.TAB)
        back.key_up(Keys.SHIFT).perform()
        assert state(opened)['focus'] == name


def test_buttons_have_names(opened):
    names = opened.execute_script(
        "return Array.from(document.querySelectorAll('button')).map((b) =>"
        " b.getAttribute('aria-label') || b.textContent.trim())"
    )
    assert all(len(name) > 3 for name in names)
    slider = opened.find_element('id', 'layer')
    assert slider.accessible_name == 'Picture shown'


def test_it_fits_the_screen(opened, width):
    boxes = opened.execute_script(
        """
        const dialog = document.getElementById('lightbox');
        return Array.from(dialog.querySelectorAll(
          '#stage, button, #layer, .stops span, #lightbox-name'))
          .map((e) => e.getBoundingClientRect().toJSON())
        """
    )
    assert len(boxes) == 1 + 3 + 1 + 5 + 1
    for box in boxes:
        assert box['left'] >= 0
        assert box['right'] <= width
        assert 0 <= box['top'] < box['bottom'] <= 900
    stage = opened.execute_script(
        "return document.getElementById('stage').getBoundingClientRect()"
    )
    assert stage['width'] > 0.7 * width
    assert stage['height'] > 350


def test_a_click_on_a_word_moves_the_slider(opened):
    opened.find_element('css selector', '.stops [data-layer="seeds"]').click()
    found = state(opened)
    assert found['layer'] == 'seed'
    assert found['shown'][0].startswith('seed of /photos/b.tif')


def test_photos_without_masks(driver, run_folder, stop_after, edit):
    stop_after(1)
    shutil.rmtree(run_folder / 'seeds')
    edit('manifest.json', lambda v: v['stages'][0].update(state='failed'))
    edit('data/index.json', lambda v: [r.update(truth=None) for r in v])
    driver.get(write_report(run_folder).as_uri())
    driver.execute_script("document.querySelector('.card .open').focus()")
    found = press(driver, Keys.ENTER)
    assert found['open']
    assert found['layer'] == 'image'
    assert not driver.find_element('id', 'layer').is_displayed()
    assert press(driver, Keys.ARROW_DOWN)['place'] == '2 of 4'
    assert press(driver, Keys.ARROW_RIGHT)['layer'] == 'image'
    press(driver, Keys.ESCAPE)
    wait_for_focus(driver, 'b')
