"""Digests of masks, and what is kept of them."""

import os

import pytest

from mmseg_weakclip.common import files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'masks').mkdir()
    for name in 'ab':
        (tmp_path / 'masks' / f'{name}.png').write_bytes(name.encode())
    return tmp_path


def test_a_kept_digest_is_that_of_the_content(folder):
    first = files.digest_masks(folder)
    assert files.digest_masks(folder) == first
    (folder / files.DIGESTS).unlink()
    assert files.digest_masks(folder) == first
    # Damaged notes are made again.
    (folder / files.DIGESTS).write_text('{')
    assert files.digest_masks(folder) == first


def test_only_what_changed_is_read(folder, monkeypatch):
    first = files.digest_masks(folder)
    read = []
    digest = files.digest_file
    monkeypatch.setattr(
        files, 'digest_file', lambda p: read.append(p.name) or digest(p)
    )
    assert files.digest_masks(folder) == first
    assert read == []
    # Of the same size: the time tells.
    path = folder / 'masks/b.png'
    path.write_bytes(b'c')
    os.utime(path, ns=(1, 1))
    assert files.digest_masks(folder) != first
    assert read == ['b.png']


def test_masks_that_come_and_go(folder):
    first = files.digest_masks(folder)
    (folder / 'masks/c.png').write_bytes(b'c')
    assert files.digest_masks(folder) != first
    (folder / 'masks/c.png').unlink()
    assert files.digest_masks(folder) == first
    for path in (folder / 'masks').iterdir():
        path.unlink()
    assert files.digest_masks(folder) == 'missing'
