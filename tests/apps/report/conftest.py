"""A small run: three classes, four images, none of them square."""

import copy
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.report.page import write_report
from mmseg_weakclip.common.masks import encode_mask

NAMES = ['background', '<b>dog</b> & "co"', 'кошка $x$ 犬']
COLORS = [[0, 0, 0], [255, 0, 0], [0, 0, 255]]
IGNORED = 255
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


def rows(width: int, *ids: int) -> np.ndarray:
    """A mask of a row for each id."""
    return np.repeat(np.array(ids, np.uint8)[:, None], width, 1)


# Height x width is 4 x 6 for a, b and d, and 6 x 4 for c.
MASKS = {
    'seeds': {
        'a': rows(6, 0, 0, 1, 1),
        'b': rows(6, 0, 0, 0, 2),
        'c': rows(4, 0, 1, 1, 2, 2, 2),
    },
    'masks': {
        'a': rows(6, 0, 1, 1, 1),
        'b': rows(6, IGNORED, 2, 2, 2),
    },
    'predictions': {
        'a': rows(6, 0, 0, 1, 1),
        'b': rows(6, 0, 0, 0, 2),
        'c': rows(4, 0, 0, 1, 1, 2, 2),
        'd': rows(6, 0, 0, 0, 0),
    },
}
TRUTH = {
    'a': rows(6, 0, 1, 1, 1),
    'c': rows(4, 0, 1, 1, IGNORED, 2, 2),
}
SPLITS = {'a': 'train', 'b': 'train', 'c': 'val', 'd': 'unlabelled'}
LABELS = {'a': NAMES[1:2], 'b': NAMES[2:], 'c': NAMES[1:], 'd': []}


def stage(name: str, title: str, folder: str | None, **values) -> dict:
    return {
        'name': name,
        'title': title,
        'state': 'finished',
        'config': f'configs/{name}.py',
        'command': ['python', 'tools/test.py', f'{name} it', '--amp'],
        'started': '2026-01-02T03:04:05',
        'seconds': 60.0,
        'peak_memory_gib': 1.25,
        'peak_gpu_gib': None,
        'folder': folder,
        **values,
    }


MANIFEST = {
    'version': 1,
    'options': {'method': 'weakclip', 'crf': {'iterations': 10}},
    'versions': {'python': '3.11.7', 'torch': '2.15.0'},
    'notes': ['random <i>CLIP</i> weights: numbers mean nothing'],
    'stages': [
        stage('seeds', 'Seeds', 'seeds'),
        stage('masks', 'Pseudo masks', 'masks'),
        stage('segmenter', 'Segmenter', 'segmenter'),
        stage('predict', 'Predictions', 'predictions'),
        stage('score', 'Scores', None),
        stage('report', 'Report', None, state='running', seconds=None),
    ],
}


def split_scores(*values: float | None) -> dict:
    known = [value for value in values if value is not None]
    return {
        'images': 1,
        'mIoU': sum(known) / len(known),
        'IoU': dict(zip(NAMES, values)),
        'confusion': [[10, 2, 0], [6, 12, 2], [0, 0, 0]],
    }


SCORES = {
    'roles': {
        'seeds': {'train': split_scores(50, 60, None)},
        'predictions': {
            'train': split_scores(70, 80, None),
            'val': split_scores(90, 30.25, 45),
        },
    }
}
LOG = [
    {'loss': 4.0, 'decode.loss_ce': 3.0, 'aux.loss': 1.0, 'step': 10},
    {'loss': 2.0, 'decode.loss_ce': 1.5, 'aux.loss': 0.5, 'step': 20},
    {'mIoU': 40.5, 'time': 1.0, 'step': 20},
]


def index_entry(image_id: str) -> dict:
    height, width = MASKS['predictions'][image_id].shape
    return {
        'id': image_id,
        'source': f'/photos/{image_id}.tif',
        'file': f'images/{image_id}.jpg',
        'width': width,
        'height': height,
        'original_width': width * (2 if image_id == 'b' else 1),
        'original_height': height * (2 if image_id == 'b' else 1),
        'split': SPLITS[image_id],
        'labels': LABELS[image_id],
        'truth': f'truth/{image_id}.png' if image_id in TRUTH else None,
    }


@pytest.fixture(scope='session')
def finished_run(tmp_path_factory) -> Path:
    """The folder of a run; not to be changed."""
    folder = tmp_path_factory.mktemp('run')
    for name in ('data/images', 'data/truth', 'segmenter/1/vis_data'):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for image_id, mask in MASKS['predictions'].items():
        pixels = rng.integers(0, 256, (*mask.shape, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'data/images/{image_id}.jpg')
    for image_id, mask in TRUTH.items():
        path = folder / f'data/truth/{image_id}.png'
        path.write_bytes(encode_mask(mask, COLORS))
    for role, masks in MASKS.items():
        (folder / role / 'masks').mkdir(parents=True)
        for image_id, mask in masks.items():
            path = folder / role / 'masks' / f'{image_id}.png'
            path.write_bytes(encode_mask(mask, COLORS))
    classes = [{'name': n, 'color': c} for n, c in zip(NAMES, COLORS)]
    for name, value in {
        'manifest.json': MANIFEST,
        'data/classes.json': classes,
        'data/index.json': [index_entry(image_id) for image_id in SPLITS],
        'scores.json': SCORES,
    }.items():
        (folder / name).write_text(json.dumps(value))
    (folder / 'segmenter/1/vis_data/scalars.json').write_text(
        ''.join(json.dumps(record) + '\n' for record in LOG)
    )
    return folder


@pytest.fixture
def run_folder(finished_run, tmp_path) -> Path:
    """A copy of the run, to change."""
    return Path(shutil.copytree(finished_run, tmp_path / 'run'))


@pytest.fixture
def edit(run_folder):
    """Change a JSON file of the copy: ``edit(name, change)``."""

    def edit(name, change):
        path = run_folder / name
        value = copy.deepcopy(json.loads(path.read_text()))
        change(value)
        path.write_text(json.dumps(value))

    return edit


@pytest.fixture
def add_stage(edit):
    """Add a finished stage to the copy, and options: ``add_stage(name)``."""

    def add(name, **options):
        def change(manifest):
            manifest['stages'].insert(0, stage(name, name, None))
            manifest['options'].update(options)

        edit('manifest.json', change)

    return add


@pytest.fixture
def stop_after(run_folder, edit):
    """Make the copy a run that ended early: ``stop_after(2)`` stages."""

    def stop(count):
        def change(manifest):
            for record in manifest['stages'][count:]:
                record.update(state='waiting', seconds=None, started=None)

        edit('manifest.json', change)
        for record in MANIFEST['stages'][count:]:
            if record['folder'] is not None:
                shutil.rmtree(run_folder / record['folder'], True)
        if count < 5:
            (run_folder / 'scores.json').unlink(missing_ok=True)
        if not count:
            shutil.rmtree(run_folder / 'data')

    return stop


@pytest.fixture(scope='session')
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


@pytest.fixture(scope='session')
def address(finished_run, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp('page') / 'page.html'
    return write_report(finished_run, path=path).as_uri()


@pytest.fixture(params=[1280, 390])
def width(request) -> int:
    return request.param


@pytest.fixture
def page(driver, address, width):
    """The driver, with the page at a width."""
    driver.execute_cdp_cmd(
        'Emulation.setDeviceMetricsOverride',
        dict(width=width, height=900, deviceScaleFactor=1, mobile=width < 500),
    )
    # No smooth scrolling, which clicks would not wait for; light again.
    still = {'name': 'prefers-reduced-motion', 'value': 'reduce'}
    driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': [still]})
    driver.get_log('performance')
    driver.get_log('browser')
    driver.get(address)
    return driver
