"""Files changed at random: the same model, or a ValueError that names them.

The number of changes to each kind of file is that of the variable
MMSEG_WEAKCLIP_MUTATIONS.
"""

import os
import random
import sys
import zipfile

import pytest
import torch

from mmseg_weakclip.models.clip.weights import load_clip

COUNT = int(os.environ.get('MMSEG_WEAKCLIP_MUTATIONS', 30))
EVENTS = (
    'os.exec', 'os.fork', 'os.forkpty', 'os.posix_spawn', 'os.remove',
    'os.rename', 'os.mkdir', 'os.spawn', 'os.system', 'socket.connect',
    'subprocess.Popen',
)  # fmt: skip
# Audit hooks stay for good: this one is silent outside of `watched`.
seen: list[tuple] | None = None


def watch(event: str, arguments: tuple) -> None:
    if seen is None:
        return
    writes = event == 'open' and (
        (isinstance(arguments[1], str) and set(arguments[1]) & set('wax+'))
        or (arguments[1] is None and arguments[2] & (os.O_WRONLY | os.O_RDWR))
    )
    if writes or event in EVENTS:
        seen.append((event, arguments))


@pytest.fixture
def watched(monkeypatch):
    if watch not in getattr(sys, '_hooks_of_tests', []):
        sys.addaudithook(watch)
        sys._hooks_of_tests = [watch]

    def load(model, path):
        global seen
        seen = []
        found, message = None, str(path)
        try:
            found = load_clip(model, str(path)).state_dict()
        except ValueError as error:
            message = str(error)
        finally:
            events, seen = seen, None
        assert events == []
        assert str(path) in message
        return found

    return load


def flip(content, dice):
    for _ in range(dice.choice((1, 1, 1, 2, 8))):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def overwrite(content, dice):
    start = dice.randrange(len(content))
    length = dice.choice((1, 1, 2, 4, 64))
    content[start : start + length] = dice.randbytes(
        len(content[start : start + length])
    )


def cut(content, dice):
    del content[dice.randrange(len(content)) :]


def remove(content, dice):
    start = dice.randrange(len(content))
    del content[start : start + dice.choice((1, 2, 8, 100))]


def insert(content, dice):
    start = dice.randrange(len(content))
    content[start:start] = dice.randbytes(dice.choice((1, 2, 8, 100)))


def repeat(content, dice):
    start = dice.randrange(len(content))
    content[start:start] = content[start : start + dice.randrange(200)]


CHANGES = (flip, flip, overwrite, overwrite, cut, remove, insert, repeat)


def in_places(content, dice, change):
    """Change a file where it is densest half of the time: begin and end."""
    if dice.random() < 0.5:
        change(content, dice)
        return
    edge = min(4000, len(content))
    part = slice(0, edge) if dice.random() < 0.5 else slice(-edge, None)
    changed = bytearray(content[part])
    change(changed, dice)
    content[part] = changed


def same(found, expected):
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], value) for name, value in expected.items()
    )


@pytest.fixture
def original(small_state, write_weights, tmp_path):
    def write(kind):
        return bytearray(
            write_weights(
                small_state, tmp_path / 'original', kind
            ).read_bytes()
        )

    return write


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', ['torchscript', 'plain'])
def test_archives(kind, original, small_model, small_state, watched, tmp_path):
    content = original(kind)
    dice = random.Random(kind)
    path = tmp_path / 'mutant.pt'
    before = set(tmp_path.iterdir()) | {path}
    for _ in range(COUNT):
        mutant = bytearray(content)
        in_places(mutant, dice, dice.choice(CHANGES))
        path.write_bytes(mutant)
        found = watched(small_model, path)
        assert found is None or same(found, small_state)
    assert set(tmp_path.iterdir()) == before


def test_safetensors(original, small_model, small_state, watched, tmp_path):
    """It has no checksums: a number may change, if its bytes did."""
    content = original('safetensors')
    start = 8 + int.from_bytes(content[:8], 'little')
    dice = random.Random(3)
    path = tmp_path / 'mutant.safetensors'
    for _ in range(COUNT):
        mutant = bytearray(content)
        in_places(mutant, dice, dice.choice(CHANGES))
        path.write_bytes(mutant)
        found = watched(small_model, path)
        if found is None or same(found, small_state):
            continue
        assert len(mutant) == len(content)
        assert mutant[start:] != content[start:]
        changed = sum(a != b for a, b in zip(content, mutant))
        differing = sum(
            int((found[name] != value).sum())
            for name, value in small_state.items()
        )
        assert 0 < differing <= changed


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', ['torchscript', 'plain'])
def test_members(kind, original, small_model, small_state, watched, tmp_path):
    """Swapped, renamed and changed members, with checksums made anew.

    The file is then whole, and the model may be another: what counts is that
    nothing else happens.
    """
    (tmp_path / 'original.pt').write_bytes(original(kind))
    with zipfile.ZipFile(tmp_path / 'original.pt') as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    dice = random.Random(kind)
    path = tmp_path / 'mutant.pt'
    before = set(tmp_path.iterdir()) | {path}
    for _ in range(COUNT):
        changed = dict(members)
        first, second = dice.sample(sorted(changed), 2)
        pickles = [n for n in members if n.endswith(('.pkl', '.py'))]
        action = dice.randrange(4)
        if action == 0:
            changed[first], changed[second] = changed[second], changed[first]
        elif action == 1:
            del changed[first]
        else:
            name = first if action == 2 else dice.choice(pickles)
            value = bytearray(changed[name] or b'x')
            dice.choice(CHANGES)(value, dice)
            changed[name] = bytes(value)
        with zipfile.ZipFile(path, 'w') as archive:
            for name, value in changed.items():
                archive.writestr(name, value)
        found = watched(small_model, path)
        if found is not None:
            assert {n: v.shape for n, v in found.items()} == {
                n: v.shape for n, v in small_state.items()
            }
    assert set(tmp_path.iterdir()) == before
