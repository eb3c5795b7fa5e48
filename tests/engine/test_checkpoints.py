import os

import torch
from mmengine.fileio import get_file_backend

from mmseg_weakclip.engine.checkpoints import find_whole_checkpoint


def save(path, size=1000, age=0):
    torch.save(dict(a=torch.zeros(size)), path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return str(path)


def note(folder, text):
    (folder / 'last_checkpoint').write_text(text)


def test_the_noted_one(tmp_path):
    assert find_whole_checkpoint(tmp_path) is None
    first = save(tmp_path / 'iter_10.pth')
    save(tmp_path / 'iter_20.pth')
    note(tmp_path, first)
    assert find_whole_checkpoint(tmp_path) == first


def test_half_of_a_file(tmp_path):
    first = save(tmp_path / 'iter_10.pth', age=5)
    save(tmp_path / 'iter_5.pth', age=10)
    last = tmp_path / 'iter_20.pth'
    save(last)
    note(tmp_path, str(last))
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2])
    assert find_whole_checkpoint(tmp_path) == first


def test_a_note_of_nothing(tmp_path):
    note(tmp_path, '')
    assert find_whole_checkpoint(tmp_path) is None
    first = save(tmp_path / 'epoch_1.pth')
    assert find_whole_checkpoint(tmp_path) == first


def test_a_file_appears_when_it_is_whole(tmp_path, monkeypatch):
    backend = get_file_backend(backend_args=dict(backend='whole'))
    seen = []
    replace = os.replace

    def watch(source, target):
        seen.append(os.path.exists(target))
        replace(source, target)

    monkeypatch.setattr(os, 'replace', watch)
    path = tmp_path / 'new' / 'x.pth'
    backend.put(b'abc', str(path))
    assert path.read_bytes() == b'abc'
    assert seen == [False]
    assert [p.name for p in path.parent.iterdir()] == ['x.pth']
