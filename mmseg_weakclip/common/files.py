"""Atomic writing of files, digests of their content, locks on folders."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file under its name only when all of it is on the disk.

    Raises:
        OSError: The disk is full or the folder cannot be written; nothing is
            left behind under the name or beside it.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f'.{path.name}.'
    )
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data)
        os.chmod(temporary, 0o644)  # mkstemp's files are private
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(
                error.errno,
                f'{path} could not be written ({error.strerror}); '
                'the incomplete file was removed',
            ) from error
        raise


LENGTH = 16
DIGESTS = 'digests.json'


def digest_bytes(content: bytes) -> str:
    """Return a short digest of a file's content."""
    return hashlib.sha256(content).hexdigest()[:LENGTH]


def digest_value(value: Any) -> str:
    """Return a digest of a JSON value."""
    return digest_bytes(json.dumps(value, sort_keys=True).encode())


def digest_file(path: Path) -> str:
    """Return a digest of a file's content; 'missing' without the file."""
    if not path.is_file():
        return 'missing'
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:LENGTH]


def digest_masks(folder: Path) -> str:
    """Return a digest of all masks of a folder.

    The digest of each file is stored in ``digests.json`` with the file's
    size and time, so that only changed files are read again.

    Args:
        folder: Folder with ``masks/*.png``.
    """
    if not (folder / 'masks').is_dir():
        return 'missing'
    notes = folder / DIGESTS
    try:
        known = json.loads(notes.read_bytes())
    except (OSError, ValueError):
        known = {}
    found: dict[str, list[Any]] = {}
    with os.scandir(folder / 'masks') as files:
        for file in files:
            if file.name.endswith('.png') and not file.name.startswith('.'):
                stat = file.stat()
                found[file.name] = [stat.st_size, stat.st_mtime_ns]
    if not found:
        return 'missing'
    for name, facts in found.items():
        old = known.get(name, [])
        same = old[:2] == facts
        path = folder / 'masks' / name
        facts.append(old[2] if same else digest_file(path))
    if found != known:
        write_atomically(notes, json.dumps(found).encode())
    return digest_value([[name, found[name][2]] for name in sorted(found)])


def digest_scores(folder: Path) -> str:
    """Return a digest of a folder's stored class maps, by names and sizes."""
    paths = sorted((folder / 'scores').glob('*.npz'))
    return digest_value([[path.name, path.stat().st_size] for path in paths])


# Seconds to wait until the processes of a killed run have ended.
PATIENCE = 20.0


@contextmanager
def lock_folder(folder: Path, patience: float = PATIENCE) -> Iterator[int]:
    """Lock a folder for this process and for commands that it starts.

    Args:
        folder: Folder to lock.
        patience: Seconds to wait for another process to release it.

    Yields:
        File descriptor of the lock, which the commands must keep open.

    Raises:
        BlockingIOError: Another process still holds the lock.
    """
    import fcntl  # which Windows does not have

    path = folder / '.lock'
    with path.open('w') as file:
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
        yield file.fileno()
