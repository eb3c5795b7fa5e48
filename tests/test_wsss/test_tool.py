"""The command as a user calls it, on a small world, from end to end."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.datasets.mask_files import read_mask
from mmseg_weakclip.engine.whole_files import is_whole

TRAIN, VAL = 12, 4  # images of the fixture
SMALL = (
    '--clip', 'toyclip', '--segmenter', 'fpn_small', '--iterations', '12',
    '--batch-size', '2', '--method-iterations', '8', '--gpus', '0',
)  # fmt: skip


@pytest.fixture(scope='module')
def call(repo):
    """Run the tool; gives what it printed on stdout and stderr."""

    def run(*words, code=0):
        done = subprocess.run(
            [sys.executable, 'tools/wsss.py', *map(str, words)],
            cwd=repo, capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout, done.stderr

    return run


@pytest.fixture(scope='module')
def data(photos):
    return (
        '--images', photos / 'photos', '--labels', photos / 'labels.csv',
        '--classes', photos / 'classes.txt', '--truth', photos / 'masks',
    )  # fmt: skip


@pytest.fixture(scope='module')
def finished(call, data, tmp_path_factory):
    """A run to the end."""
    out = tmp_path_factory.mktemp('run') / 'out'
    call(*data, '--work-dir', out, *SMALL)
    return out


def states(out):
    manifest = json.loads((out / 'manifest.json').read_text())
    return {s['name']: s for s in manifest['stages']}


def final_masks(out):
    return {
        path.name: path.read_bytes()
        for path in (out / 'results').rglob('*.png')
    }


def check_files(out):
    """Nothing is half-written, and nothing of that kind was left."""
    for path in out.rglob('*.png'):
        Image.open(path).load()
    for path in out.rglob('*.json'):
        for line in path.read_text().splitlines() or ['x']:
            if path.parent.name == 'vis_data':
                json.loads(line)
        if path.parent.name != 'vis_data':
            json.loads(path.read_text())
    for path in out.rglob('*.pth'):
        assert is_whole(path)
    left = [p for p in out.rglob('.*') if p.name != '.lock']
    assert not left


def test_a_run_to_the_end(finished, photos):
    found = states(finished)
    assert {s['state'] for s in found.values()} == {'finished'}
    assert list(found) == [
        'data', 'seeds', 'masks', 'segmenter', 'predict', 'score', 'results',
        'report',
    ]  # fmt: skip
    names = {p.stem for p in (photos / 'photos').iterdir()}
    for kind in ('pseudo_masks', 'predictions'):
        masks = list((finished / 'results' / kind).iterdir())
        assert {mask.stem for mask in masks} == names
    scores = json.loads((finished / 'scores.json').read_text())['roles']
    assert set(scores) == {'seeds', 'masks', 'predictions'}
    # Validation is taken from the images with masks.
    assert scores['masks']['val']['images'] == 2
    assert found['segmenter']['peak_memory_gib'] > 0.3
    assert (finished / 'report.html').is_file()
    check_files(finished)


def test_nothing_is_done_twice(finished, call):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob('*.p*')}
    stdout, _ = call('--work-dir', finished, '--resume')
    assert stdout.count('done before') == 8
    after = {p: p.stat().st_mtime_ns for p in finished.rglob('*.p*')}
    assert after == before


def test_a_run_is_not_written_over(finished, call, data):
    _, stderr = call(*data, '--work-dir', finished, *SMALL, code=2)
    assert 'holds a run already; add --resume' in stderr


def test_plan_only(call, data, tmp_path):
    out = tmp_path / 'out'
    stdout, _ = call(*data, '--work-dir', out, *SMALL, '--dry-run')
    assert not out.exists()
    assert 'train the segmenter' in stdout
    assert 'on disk' in stdout


@pytest.mark.parametrize('method', ['clims', 'excel+weakclip'])
def test_methods_with_trainings(call, data, tmp_path, method):
    """Up to their masks; what follows is the same for all."""
    out = tmp_path / 'out'
    call(
        *data, '--work-dir', out, *SMALL, '--method', method,
        '--until', 'masks',
    )  # fmt: skip
    found = states(out)
    assert found['masks']['state'] == 'finished'
    assert found['segmenter']['state'] == 'waiting'
    assert len(list((out / 'masks/masks').iterdir())) == TRAIN + VAL
    check_files(out)


def test_killed_and_resumed(finished, call, data, repo, tmp_path):
    """The masks are those of the undisturbed run, bit by bit."""
    out = tmp_path / 'out'
    words = ['--work-dir', str(out), '--resume', *map(str, data), *SMALL]
    # In the middle of making seeds, and of the training.
    for progress in ('seeds/masks/*.png', 'segmenter/iter_*.pth'):
        with subprocess.Popen(
            [sys.executable, 'tools/wsss.py', *words], cwd=repo,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            while not any(out.glob(progress)):
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
    call(*words)
    assert final_masks(out) == final_masks(finished)
    check_files(out)


def make_odd_set(folder, photos):
    """A user's own images, of every odd kind."""
    sources = sorted((photos / 'photos').iterdir())
    images = [Image.open(path).convert('RGB') for path in sources[:10]]
    for name in ('one', 'two', 'Größe'):
        (folder / name).mkdir(parents=True)
    images[0].save(folder / 'one/IMG_1.JPG', format='JPEG')
    images[1].save(folder / 'two/IMG_1.JPG', format='JPEG')
    exif = Image.Exif()
    exif[0x0112] = 6
    images[2].crop((0, 0, 96, 60)).save(
        folder / 'Größe/mein Hund äöü.jpg', exif=exif
    )
    deep = np.asarray(images[3].convert('L')).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / 'one/deep.png')
    images[4].resize((4000, 3000)).save(folder / 'big photo.jpeg')
    images[5].resize((40, 40)).save(folder / 'icon.PNG')
    images[6].save(folder / 'two/unlabelled.webp')
    images[7].save(folder / 'one/more.jpg')
    (folder.parent / 'labels.csv').write_bytes(
        (
            '\ufeff"Image";"Labels"\r\n'
            'one/IMG_1.jpg;"boat, red car"\r\ntwo/IMG_1.JPG;red car\r\n'
            '"Größe/mein Hund äöü.jpg";"Bäume"\r\ndeep;boat\r\n'
            'big photo.jpeg;Bäume|boat\r\nicon;red car\r\nmore;boat\r\n'
            'missing.jpg;boat\r\n'
        ).encode()
    )


def test_a_users_own_set(call, photos, tmp_path):
    make_odd_set(tmp_path / 'set', photos)
    out = tmp_path / 'out'
    stdout, _ = call(
        '--images', tmp_path / 'set', '--labels', tmp_path / 'labels.csv',
        '--work-dir', out, *SMALL, '--max-side', '300',
    )  # fmt: skip
    assert '1 without labels' in stdout
    assert '1 large images' in stdout
    for kind, missing in (('pseudo_masks', 1), ('predictions', 0)):
        folder = out / 'results' / kind
        masks = {
            str(path.relative_to(folder)): read_mask(str(path)).shape
            for path in folder.rglob('*.png')
        }
        assert len(masks) == 8 - missing
        assert masks['one/IMG_1.png'] == masks['two/IMG_1.png'] == (96, 96)
        # As viewers show it: stored 96 wide and 60 high, turned.
        assert masks['Größe/mein Hund äöü.png'] == (96, 60)
        assert masks['big photo.png'] == (3000, 4000)
        assert masks['icon.png'] == (40, 40)
    classes = json.loads((out / 'data/classes.json').read_text())
    assert [c['name'] for c in classes] == [
        'background', 'boat', 'Bäume', 'red car'
    ]  # fmt: skip


def test_only_what_depends_on_a_change_is_done_again(finished, call):
    """The last test: it changes the run that the others look at."""
    out = finished
    seeds = {p: p.stat().st_mtime_ns for p in out.glob('seeds/masks/*')}
    config = out / 'configs/segmenter.py'
    config.write_text(config.read_text().replace('lr=0.001', 'lr=0.0005'))
    stdout, _ = call('--work-dir', out, '--resume', '--until', 'segmenter')
    assert 'segmenter.py was edited, it is kept' in stdout
    assert 'train the segmenter: begins anew, changed: config' in stdout
    assert 'make seeds: done before' in stdout
    assert {p: p.stat().st_mtime_ns for p in out.glob('seeds/masks/*')} == (
        seeds
    )
    assert 'lr=0.0005' in config.read_text()
    # A pseudo mask mended by hand is trained on.
    mask = next((out / 'masks/masks').iterdir())
    image = Image.open(mask)
    mended = Image.fromarray(np.zeros(image.size[::-1], np.uint8), 'P')
    mended.putpalette(image.getpalette())
    mended.save(mask)
    stdout, _ = call('--work-dir', out, '--resume', '--until', 'segmenter')
    assert 'refine to pseudo masks: done before' in stdout
    assert 'train the segmenter: begins anew, changed: masks' in stdout
