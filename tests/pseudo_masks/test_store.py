import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.common import files
from mmseg_weakclip.pseudo_masks.store import MaskStore

PALETTE = [[0, 0, 0], [10, 20, 30], [40, 50, 60]]


@pytest.fixture
def store(tmp_path):
    store = MaskStore(tmp_path / 'out')
    store.open(dict(model='a', crf=None))
    return store


def finish(store, name):
    store.write_mask(name, np.ones((4, 6), int), PALETTE)
    store.finish(dict(id=name))


def test_masks_are_palette_pngs(store):
    mask = np.random.default_rng(0).integers(0, 3, (5, 7))
    mask[0, 0] = 255
    store.write_mask('a', mask, PALETTE)
    image = Image.open(store.mask_path('a'))
    assert image.mode == 'P'
    assert np.array_equal(np.asarray(image), mask)
    assert image.getpalette()[:9] == np.ravel(PALETTE).tolist()


def test_goes_on_with_the_same_settings(store):
    finish(store, 'a')
    again = MaskStore(store.folder, rank=1)
    again.open(dict(model='a', crf=None))
    assert set(again.finished()) == {'a'}
    finish(again, 'b')
    assert set(store.finished()) == {'a', 'b'}


def test_refuses_to_mix(store):
    with pytest.raises(ValueError) as error:
        MaskStore(store.folder).open(dict(model='a', crf='voc12'))
    message = str(error.value)
    assert str(store.folder) in message
    assert 'crf: null there, "voc12" now' in message
    assert 'model' not in message


def test_a_mask_without_a_record_is_not_finished(store):
    store.write_mask('a', np.zeros((2, 2), int), PALETTE)
    assert store.finished() == {}


def test_a_record_without_a_mask_is_not_finished(store):
    finish(store, 'a')
    store.mask_path('a').unlink()
    assert store.finished() == {}


def test_a_line_cut_short_is_no_line(store):
    finish(store, 'a')
    store.write_mask('b', np.zeros((2, 2), int), PALETTE)
    path = store.folder / 'records_0.jsonl'
    with path.open('a') as file:
        file.write(json.dumps(dict(id='b'))[:-4])
    again = MaskStore(store.folder)
    assert set(again.finished()) == {'a'}
    finish(again, 'c')  # must not be glued to the broken line
    assert set(again.finished()) == {'a', 'c'}


def test_full_disk_leaves_nothing(store, monkeypatch):
    class Full:
        def __init__(self, handle, mode):
            self.handle = handle

        def __enter__(self):
            return self

        def __exit__(self, *_):
            os.close(self.handle)

        def write(self, data):
            os.write(self.handle, data[: len(data) // 2])
            raise OSError(28, 'No space left on device')

    monkeypatch.setattr(files.os, 'fdopen', Full)
    with pytest.raises(OSError, match=r'No space left.*masks/a.png|a.png.*No'):
        store.write_mask('a', np.zeros((4, 4), int), PALETTE)
    assert list((store.folder / 'masks').iterdir()) == []


KILLED = """
import sys, numpy as np
from mmseg_weakclip.pseudo_masks.store import MaskStore
store = MaskStore(sys.argv[1])
store.open({})
rng = np.random.default_rng(0)
mask = rng.integers(0, 3, (600, 600))
print('ready', flush=True)
for index in range(10 ** 6):
    store.write_mask(str(index), mask, [[0, 0, 0]] * 3)
    store.finish(dict(id=str(index)))
"""


def test_kill_leaves_whole_masks_only(tmp_path):
    process = subprocess.Popen(
        [sys.executable, '-c', KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    while 'ready' not in process.stdout.readline():
        assert process.poll() is None
    store = MaskStore(tmp_path)
    while len(store.finished()) < 5:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = store.finished()
    assert len(done) >= 5
    for name in done:
        with Image.open(store.mask_path(name)) as image:
            assert image.size == (600, 600)
            image.load()  # raises on a truncated file
