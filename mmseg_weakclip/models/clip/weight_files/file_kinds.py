"""Say what a file is that was taken for weights.

Downloads that went wrong leave pages, pointers and halves of files; the first
bytes tell them apart.
"""

import json
import struct
from pathlib import Path

HEAD = 1024
# First bytes, and what such a file is.
MAGICS = (
    (b'version https://git-lfs', 'a Git LFS pointer; run `git lfs pull`'),
    (b'\x1f\x8b', 'a gzip file; unpack it first'),
    (b'BZh', 'a bzip2 file; unpack it first'),
    (b'\xfd7zXZ', 'an xz file; unpack it first'),
    (b'7z\xbc\xaf', 'a 7-Zip archive; unpack it first'),
    (b'\x28\xb5\x2f\xfd', 'a Zstandard file; unpack it first'),
    (b'Rar!', 'a RAR archive; unpack it first'),
    (b'\x89HDF', 'an HDF5 file (Keras, TensorFlow)'),
    (b'\x93NUMPY', 'a NumPy array'),
    (b'GGUF', 'a GGUF file (llama.cpp)'),
    (b'%PDF', 'a PDF'),
    (b'\x89PNG', 'a PNG image'),
    (b'\xff\xd8\xff', 'a JPEG image'),
    (b'PK\x05\x06', 'an empty zip archive'),
)  # fmt: skip
PAGES = (b'<!doctype', b'<html', b'<?xml', b'<head', b'<body')
# First byte of a pickle, and the number that PyTorch's format without a zip
# begins with.
PICKLE = b'\x80'
OLD_FORMAT = b'l\xfc\x9cF\xf9 j\xa8P\x19'
# Last bytes of a table that TensorFlow's checkpoints have as `.index`.
TABLE_END = struct.pack('<Q', 0xDB4775248B80FB57)
TAR_MAGIC = slice(257, 262)


def describe_file(path: Path) -> str:
    """Return what a file seems to be, such as ``'a gzip file'``.

    Args:
        path: File that holds no weights that can be read.

    Returns:
        A noun, and advice if there is any, without the file's name.
    """
    with path.open('rb') as file:
        head = file.read(HEAD)
        size = file.seek(0, 2)
        file.seek(max(0, size - len(TABLE_END)))
        end = file.read()
    if not head:
        return 'an empty file; download it again'
    for magic, kind in MAGICS:
        if head.startswith(magic):
            return kind
    if head.lstrip().lower().startswith(PAGES):
        return (
            'a web page: the address leads to a page, not to the file, or '
            'asks for a login'
        )
    if head[TAR_MAGIC] == b'ustar':
        return 'a tar archive; unpack it first'
    if head[4:8] == b'TFL3':
        return 'a TensorFlow Lite model'
    if end == TABLE_END or '.ckpt' in path.name and path.suffix != '.ckpt':
        return "a part of TensorFlow's checkpoint"
    if head[:1] == b'\x08' and head[2:3] in (b'\x12', b'"', b':', b'B'):
        return 'an ONNX or TensorFlow model'
    if OLD_FORMAT in head[:64] or head.startswith(b'PK'):
        return 'a file of PyTorch'
    if head.startswith(PICKLE):
        return 'a pickle that PyTorch did not write'
    if not head.strip(b'\0'):
        return 'a file of zeros: its download was not finished'
    return _describe_text(path, head, size)


def _describe_text(path: Path, head: bytes, size: int) -> str:
    try:
        # The head may end within a character.
        text = head.decode() if size <= HEAD else head[:-3].decode('utf-8')
    except UnicodeDecodeError:
        return f'an unknown format, with the first bytes {head[:8].hex(" ")}'
    if not all(c.isprintable() or c.isspace() for c in text):
        return f'an unknown format, with the first bytes {head[:8].hex(" ")}'
    if _is_json(path, text):
        return 'a JSON file'
    line = next(iter(text.split('\n'))).strip()[:40]
    return f'a text file that begins with {line!r}'


def _is_json(path: Path, text: str) -> bool:
    if not text.lstrip().startswith(('{', '[')):
        return False
    if path.suffix == '.json':
        return True
    try:
        json.loads(text)
    except ValueError:
        # Only its beginning was read.
        return text.lstrip()[1:].lstrip().startswith(('"', '{', '['))
    return True


def looks_like_safetensors(head: bytes) -> bool:
    """Tell whether first bytes are a header's length and its ``{``."""
    return len(head) > 8 and head[8:9] == b'{'
