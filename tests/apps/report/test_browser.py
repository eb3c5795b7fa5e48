"""The page in Chromium, as its readers see it."""

import json
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

pytest.importorskip('selenium')
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

SHOWN = """
return Array.from(document.querySelectorAll('.card'))
  .filter((card) => card.checkVisibility()).map((card) => card.dataset.name)
"""
CHOOSE = """
const select = document.getElementById(arguments[0]);
select.value = arguments[1];
if (select.selectedIndex < 0) throw Error('no such option');
select.dispatchEvent(new Event('change'));
"""


def test_pictures_are_there_and_nothing_is_fetched(page, address):
    page.execute_async_script(
        """
        const done = arguments[0];
        const images = Array.from(document.images);
        for (const image of images) image.loading = 'eager';
        Promise.all(images.map((image) => image.decode())).then(done, done);
        """
    )
    widths = page.execute_script(
        'return Array.from(document.images).map((i) => i.naturalWidth)'
    )
    # Four photos, eleven masks, and photos again in the list.
    assert len(widths) == 15 + 3
    assert min(widths) > 0
    # Of each card, the photo and one mask or one note.
    seen = page.execute_script(
        "return Array.from(document.querySelectorAll('.stack')).map((s) => "
        'Array.from(s.children).filter((c) => c.checkVisibility()).length)'
    )
    assert seen == [2, 2, 2, 2]
    messages = (
        json.loads(entry['message'])['message']
        for entry in page.get_log('performance')
    )
    requested = {
        message['params']['request']['url']
        for message in messages
        if message['method'] == 'Network.requestWillBeSent'
    }
    assert address in requested
    assert all(u == address or u.startswith('data:') for u in requested)
    # Such as of a content security policy that forbids our own script.
    assert page.get_log('browser') == []


def test_nothing_is_wider_than_the_screen(page, width):
    page.execute_script(
        "document.querySelectorAll('details').forEach((d) => d.open = true)"
    )
    assert page.execute_script('return innerWidth') == width
    assert (
        page.execute_script('return document.documentElement.scrollWidth')
        <= width
    )
    # Nor cut off: only boxes that scroll hold what is wider.
    wide = page.execute_script(
        """
        return Array.from(document.body.querySelectorAll('*'))
          .filter((e) => !e.closest('.scroll, pre, svg, .skip'))
          .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
          .map((e) => e.outerHTML.slice(0, 80))
        """
    )
    assert wide == []


def test_sorting_and_filters(page):
    def choose(name, value):
        page.execute_script(CHOOSE, name, value)
        return page.execute_script(SHOWN)

    # Cards without the pair come last, by name.
    assert page.execute_script(SHOWN) == ['b', 'a', 'c', 'd']
    assert choose('sort', 'predictions-truth') == ['a', 'c', 'b', 'd']
    assert choose('sort', '') == ['a', 'b', 'c', 'd']
    assert choose('class', '1') == ['a', 'c']
    assert choose('class', '2') == ['b', 'c']
    assert choose('split', 'val') == ['c']
    status = page.execute_script(
        "return document.getElementById('shown').textContent"
    )
    assert status == '1 of 4 shown'
    assert choose('class', '') == ['c']
    assert choose('split', '') == ['a', 'b', 'c', 'd']


def test_the_filter_counts_photos(page):
    options = page.execute_script(
        "return Array.from(document.querySelectorAll('#class option'))"
        '.map((o) => o.textContent)'
    )
    assert options == ['all', '<b>dog</b> & "co" (2)', 'кошка $x$ 犬 (2)']
    for value, count in (('1', 2), ('2', 2), ('', 4)):
        page.execute_script(CHOOSE, 'class', value)
        assert len(page.execute_script(SHOWN)) == count
    page.execute_script(CHOOSE, 'class', '1')
    page.execute_script(CHOOSE, 'split', 'unlabelled')
    assert page.execute_script(SHOWN) == []
    nothing = page.find_element('id', 'nothing')
    assert nothing.text == 'No photo fits this filter.'


def test_one_mask_at_a_time(page):
    legends = """
        return Array.from(document.querySelectorAll('.card ul.legend'))
          .filter((l) => l.checkVisibility())
          .map((l) => l.closest('.card').dataset.name + ' ' + l.dataset.role)
        """
    page.execute_script(CHOOSE, 'sort', '')
    shown = page.execute_script(legends)
    assert shown == [f'{name} predictions' for name in 'abcd']
    page.find_element('css selector', '[value="masks"]').click()
    assert page.execute_script(legends) == ['a masks', 'b masks']
    notes = page.find_elements('css selector', '.card .empty')
    assert sum(note.is_displayed() for note in notes) == 2
    page.find_element('css selector', '[value="photo"]').click()
    assert page.execute_script(legends) == []


def test_rows_lead_to_photos(page):
    page.execute_script(CHOOSE, 'class', '2')
    card = page.find_element('css selector', '[data-name="a"]')
    assert not card.is_displayed()
    selector = f'[data-card="{card.get_attribute("id")}"]'
    page.find_element('css selector', selector).click()
    WebDriverWait(page, 5).until(lambda _: card.is_displayed())
    focus = 'return document.activeElement.closest(".card")?.dataset.name'
    WebDriverWait(page, 5).until(lambda p: p.execute_script(focus) == 'a')
    assert page.current_url.endswith('#photo-1')


def test_the_list_can_be_saved_without_a_server(page, address, tmp_path):
    assert address.startswith('file:')
    page.execute_cdp_cmd(
        'Browser.setDownloadBehavior',
        {'behavior': 'allow', 'downloadPath': str(tmp_path)},
    )
    page.find_element('id', 'export').click()
    saved = tmp_path / 'needs_a_look.csv'
    WebDriverWait(page, 10).until(lambda _: saved.is_file())
    beside = Path(url2pathname(urlsplit(address).path)).parent / saved.name
    assert saved.read_bytes() == beside.read_bytes()
    assert saved.read_text().startswith('image,tags,reason,class,share\n')


def test_the_gallery_is_as_wide_as_the_screen(page, width):
    left, right = page.execute_script(
        'const box = document.getElementById("cards").getBoundingClientRect();'
        'return [box.left, document.documentElement.clientWidth - box.right]'
    )
    assert 0 < left < 30
    assert 0 < right < 30
    tops = page.execute_script(
        'return Array.from(document.querySelectorAll(".card"))'
        '.map((c) => c.getBoundingClientRect().top)'
    )
    assert len(set(tops)) == (1 if width == 1280 else 4)


def test_opacity_reaches_the_masks(page):
    opacity = page.execute_script(
        """
        const slider = document.getElementById('opacity');
        slider.value = 20;
        slider.dispatchEvent(new Event('input'));
        return getComputedStyle(document.querySelector('.mask')).opacity
        """
    )
    assert float(opacity) == pytest.approx(0.2)


def test_keys_reach_everything_that_does_something(page):
    reached = page.execute_script(
        """
        return Array.from(document.querySelectorAll(
          'select, input, .copy, summary, .scroll, pre, nav a, .open,' +
          '#export, .look a'))
          .filter((e) => e.checkVisibility() && e.tabIndex < 0)
          .map((e) => e.outerHTML.slice(0, 80))
        """
    )
    assert reached == []
    assert (
        page.execute_script(
            "return document.querySelectorAll('.copy:not([hidden])').length"
        )
        == 6
    )


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_text_can_be_read_in_light_and_dark(page, scheme):
    page.execute_cdp_cmd(
        'Emulation.setEmulatedMedia',
        {'features': [{'name': 'prefers-color-scheme', 'value': scheme}]},
    )
    ground, *colors = page.execute_script(
        """
        const color = (selector, key) =>
          getComputedStyle(document.querySelector(selector))[key];
        return [color('body', 'backgroundColor'), color('body', 'color'),
                color('svg text', 'fill'), color('a[href^="#d"]', 'color'),
                color('.facts', 'color')]
        """
    )
    for color in colors:
        assert contrast(ground, color) > 4.5, color
    dark = luminance(ground) < 0.2
    assert dark == (scheme == 'dark')


def luminance(color: str) -> float:
    """Relative luminance of ``rgb(r, g, b)``, as WCAG 2 defines it."""
    values = color.removeprefix('rgb(').removesuffix(')').split(',')
    parts = [int(value) / 255 for value in values]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4
        for p in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, 1 to 21, as WCAG 2 defines it."""
    dark, bright = sorted((luminance(first), luminance(second)))
    return (bright + 0.05) / (dark + 0.05)
