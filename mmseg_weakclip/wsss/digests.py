"""Digests of what stages read and write, to know what has changed."""

import hashlib
import json
from pathlib import Path
from typing import Any

LENGTH = 16


def digest_bytes(content: bytes) -> str:
    """A short digest of a file's content."""
    return hashlib.sha256(content).hexdigest()[:LENGTH]


def digest_value(value: Any) -> str:
    """A digest of JSON values."""
    return digest_bytes(json.dumps(value, sort_keys=True).encode())


def digest_file(path: Path) -> str:
    """A digest of a file's content; 'missing' if there is none."""
    if not path.is_file():
        return 'missing'
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:LENGTH]


def digest_masks(folder: Path) -> str:
    """A digest of all masks of a folder, in any order of writing."""
    paths = sorted((folder / 'masks').glob('*.png'))
    if not paths:
        return 'missing'
    return digest_value([[path.name, digest_file(path)] for path in paths])


def digest_scores(folder: Path) -> str:
    """The same of kept class maps, by their sizes."""
    paths = sorted((folder / 'scores').glob('*.npz'))
    return digest_value([[path.name, path.stat().st_size] for path in paths])
