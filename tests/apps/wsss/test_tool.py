"""The command as a user calls it, on a small world, from end to end."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.run_folder.store import load_images
from mmseg_weakclip.apps.wsss.config_files import stage_command
from mmseg_weakclip.apps.wsss.plan import stage_bytes
from mmseg_weakclip.apps.wsss.stages import stages_of
from mmseg_weakclip.engine.checkpoints import is_whole

TRAIN, VAL = 12, 4  # images of the fixture


@pytest.fixture(scope='module')
def finished(repo, data, small, tmp_path_factory):
    """A run to the end, by the script and with a server of its own."""
    out = tmp_path_factory.mktemp('run') / 'out'
    words = (*data, '--work-dir', out, *small)
    done = subprocess.run(
        [sys.executable, 'tools/wsss.py', *map(str, words)],
        cwd=repo, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
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


def test_the_plan_of_the_disk(finished, make_run):
    """Masks and maps are what it says, to the size of a block."""
    run = make_run(clip='toyclip', segmenter='fpn_small')
    run = run.with_images(load_images(finished))
    for stage in stages_of('excel'):
        if stage.kind not in ('test', 'refine', 'results'):
            continue
        folder = finished / stage.folder
        sizes = [
            path.stat().st_size
            for part in ('masks', 'scores', 'pseudo_masks', 'predictions')
            for path in folder.glob(f'{part}/*')
        ]
        found = sum(-(-size // 4096) * 4096 for size in sizes)
        assert stage_bytes(run, stage) == pytest.approx(found, rel=0.3)


def test_nothing_is_done_twice(finished, call):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob('*.p*')}
    stdout, _ = call('--work-dir', finished, '--resume')
    assert stdout.count('done before') == 8
    after = {p: p.stat().st_mtime_ns for p in finished.rglob('*.p*')}
    assert after == before


def test_a_run_may_move(finished, call, tmp_path):
    """Its configs tell the new folder, and nothing is done again."""
    out = tmp_path / 'a longer name than before'
    shutil.copytree(finished, out, symlinks=True)
    stdout, _ = call('--work-dir', out, '--resume')
    assert stdout.count('done before') == 8
    for path in (out / 'configs').iterdir():
        text = path.read_text()
        assert str(out) in text
        assert str(finished) not in text


def test_a_lost_mask_is_made_again(finished, call, tmp_path):
    """Alone, and what follows from it is as it was."""
    out = tmp_path / 'out'
    shutil.copytree(finished, out, symlinks=True)
    paths = sorted((out / 'seeds/masks').glob('*.png'))
    times = {path: path.stat().st_mtime_ns for path in paths}
    lost = paths[3].read_bytes()
    paths[3].unlink()
    stdout, _ = call('--work-dir', out, '--resume')
    assert stdout.count('done before') == 7
    assert paths[3].read_bytes() == lost
    del times[paths[3]]
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_run_is_not_written_over(finished, call, data, small):
    _, stderr = call(*data, '--work-dir', finished, *small, code=2)
    assert 'holds a run already; add --resume' in stderr


def test_a_run_of_which_only_the_data_was_checked(
    call, photos, tmp_path, small
):
    """It may begin anew with a mended table; a later stage may not."""
    out, table = tmp_path / 'out', tmp_path / 'labels.csv'
    words = ['--images', photos / 'photos', '--labels', table]
    words += ['--work-dir', out, *small, '--until', 'data']
    rows = (photos / 'labels.csv').read_text().splitlines()
    classes = []
    for number in (4, 9):
        table.write_text('\n'.join(rows[:number]))
        stdout, _ = call(*words)
        assert ('only the data was checked' in stdout) == (number == 9)
        labels = json.loads((out / 'data/image_labels.json').read_text())
        assert len(labels['labels']) == number - 1
        classes.append(labels['classes'])
    assert classes[0] != classes[1]
    manifest = json.loads((out / 'manifest.json').read_text())
    manifest['stages'][1]['started'] = '2026-01-01T00:00:00+00:00'
    (out / 'manifest.json').write_text(json.dumps(manifest))
    _, stderr = call(*words, code=2)
    assert 'holds a run already' in stderr


def test_plan_only(call, data, tmp_path, small):
    out = tmp_path / 'out'
    stdout, _ = call(*data, '--work-dir', out, *small, '--dry-run')
    assert not out.exists()
    assert 'train the segmenter' in stdout
    assert 'on disk' in stdout


@pytest.mark.slow
@pytest.mark.parametrize('method', ['clims', 'excel+weakclip'])
def test_methods_with_trainings(call, data, tmp_path, method, small):
    """Up to their masks; what follows is the same for all."""
    out = tmp_path / 'out'
    call(
        *data, '--work-dir', out, *small, '--method', method,
        '--until', 'masks',
    )  # fmt: skip
    found = states(out)
    assert found['masks']['state'] == 'finished'
    assert found['segmenter']['state'] == 'waiting'
    assert len(list((out / 'masks/masks').iterdir())) == TRAIN + VAL
    check_files(out)
    # As if the trainings had been done elsewhere.
    path = out / 'manifest.json'
    manifest = json.loads(path.read_text())
    trainings = [s for s in manifest['stages'] if s['state'] == 'finished'
                 and s['command'][3:4] == ['train']]  # fmt: skip
    for stage in trainings:
        stage.update(state='waiting', inputs={}, command=[])
    path.write_text(json.dumps(manifest))
    stdout, _ = call('--work-dir', out, '--resume', '--until', 'masks')
    assert stdout.count(': trained already') == len(trainings) > 0


@pytest.mark.slow
def test_killed_and_resumed(finished, call, data, repo, tmp_path, small):
    """The masks are those of the undisturbed run, bit by bit."""
    out = tmp_path / 'out'
    words = ['--work-dir', str(out), '--resume', *map(str, data), *small]
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


@pytest.mark.slow
def test_seeds_are_those_of_one_process(finished, make_run, repo, tmp_path):
    out = tmp_path / 'out'
    shutil.copytree(finished, out, symlinks=True)
    for path in (out / 'configs').iterdir():
        path.write_text(path.read_text().replace(str(finished), str(out)))
    shutil.rmtree(out / 'seeds')
    run = make_run(clip='toyclip', segmenter='fpn_small', iterations=12)
    run = dataclasses.replace(run, folder=out, gpus=2)
    stages = {stage.name: stage for stage in stages_of('excel')}
    command = stage_command(run, stages['seeds'], stages)
    words = ['-m', 'torch.distributed.run', '--nproc_per_node', '2']
    assert command[1:5] == words
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    masks = sorted(path.name for path in (out / 'seeds/masks').iterdir())
    assert len(masks) == 16
    for name in masks:
        one = finished / 'seeds/masks' / name
        assert (out / 'seeds/masks' / name).read_bytes() == one.read_bytes()


def test_four_numbers_of_the_segmenter(finished, weakclip_fork, tmp_path):
    code, printed = weakclip_fork(
        'test',
        finished / 'configs/segmenter.py',
        finished / 'segmenter/iter_12.pth',
        *('--protocol', '--work-dir', tmp_path),
    )
    assert code == 0, printed
    assert '2 of 2 images have truth' in printed
    for line in 'single view', 'multi-scale + flip', 'flip + CRF':
        assert f'{line} ' in printed


def test_only_what_depends_on_a_change_is_done_again(finished, call):
    """The last test: it changes the run that the others look at."""
    out = finished
    seeds = {p: p.stat().st_mtime_ns for p in out.glob('seeds/masks/*')}
    config = out / 'configs/segmenter.py'
    config.write_text(config.read_text().replace('lr=0.002', 'lr=0.0005'))
    stdout, _ = call('--work-dir', out, '--resume', '--until', 'segmenter')
    assert 'segmenter.py was edited by hand and is kept' in stdout
    assert 'train the segmenter: starts again, changed: config' in stdout
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
    assert 'train the segmenter: starts again, changed: masks' in stdout
