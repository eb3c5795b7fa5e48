"""The page in Chromium, as its readers see it."""

import json
import shutil
import tempfile

import pytest

from mmseg_weakclip.apps.report.page import write_report

OPTIONS = (
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
)
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


@pytest.fixture(scope='module')
def driver():
    webdriver = pytest.importorskip('selenium.webdriver')
    browser = shutil.which('chromium') or shutil.which('google-chrome')
    server = shutil.which('chromedriver')
    if browser is None or server is None:
        pytest.skip('no chromium and chromedriver on the PATH')
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for option in (*OPTIONS, f'--user-data-dir={folder}'):
            options.add_argument(option)
        options.set_capability(
            'goog:loggingPrefs', {'performance': 'ALL', 'browser': 'ALL'}
        )
        service = webdriver.ChromeService(server)
        driver = webdriver.Chrome(options, service)
        yield driver
        driver.quit()


@pytest.fixture(scope='module')
def address(finished_run, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp('page') / 'page.html'
    return write_report(finished_run, path=path).as_uri()


@pytest.fixture(params=[1280, 380])
def width(request) -> int:
    return request.param


@pytest.fixture
def page(driver, address, width):
    """The driver, with the page at a width."""
    driver.execute_cdp_cmd(
        'Emulation.setDeviceMetricsOverride',
        dict(width=width, height=900, deviceScaleFactor=1, mobile=width < 500),
    )
    driver.get_log('performance')
    driver.get_log('browser')
    driver.get(address)
    return driver


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
    assert len(widths) == 15
    assert min(widths) > 0
    # A photo lies under each mask, as a background.
    backgrounds = page.execute_script(
        "return Array.from(document.querySelectorAll('.under img')).map((i) "
        '=> getComputedStyle(i.parentElement).backgroundImage)'
    )
    assert len(backgrounds) == 11
    assert all(b.startswith('url("data:image/jpeg') for b in backgrounds)
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


def test_opacity_reaches_the_masks(page):
    opacity = page.execute_script(
        """
        const slider = document.getElementById('opacity');
        slider.value = 20;
        slider.dispatchEvent(new Event('input'));
        return getComputedStyle(document.querySelector('.under img')).opacity
        """
    )
    assert float(opacity) == pytest.approx(0.2)


def test_keys_reach_everything_that_does_something(page):
    reached = page.execute_script(
        """
        return Array.from(document.querySelectorAll(
          'select, input, .copy, summary, .scroll, pre, nav a'))
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
