"""One message for each wrong file, with its name and what it seems to be."""

import collections
import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from mmseg_weakclip.models.clip.weight_files.reading import (
    TOKEN_ROWS,
    TOKEN_TABLE,
    read_file,
    read_state_dict,
)
from mmseg_weakclip.models.clip.weights import load_clip


class Evil:
    def __reduce__(self):
        return exec, ('raise SystemExit',)


def saved(value, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def tensors(**changes) -> dict[str, torch.Tensor]:
    return {'a': torch.ones(300), 'b': torch.zeros(2, 3), **changes}


def safe(header: bytes, data: bytes = b'', length: int | None = None) -> bytes:
    length = len(header) if length is None else length
    return struct.pack('<Q', length) + header + data


def zipped(members: dict[str, bytes], **options) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        archive.addfile(tarfile.TarInfo('weights'))
    return buffer.getvalue()


def old_tar() -> bytes:
    """A tar that begins as PyTorch's old format does, without magic."""
    head = bytearray(tarfile.TarInfo('x').tobuf(tarfile.USTAR_FORMAT))
    head[:17] = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
    head[257:265] = bytes(8)
    head[148:156] = b' ' * 8
    head[148:156] = b'%06o\0 ' % sum(head)
    return bytes(head) + bytes(1024)


def numpy_file(save, value) -> bytes:
    buffer = io.BytesIO()
    save(buffer, value)
    return buffer.getvalue()


HEADER = json.dumps(
    {'a': dict(dtype='F32', shape=[4], data_offsets=[0, 16])}
).encode()
BIG = safe(b'{"a":1}', length=1 << 40)
NAN, INFINITE = torch.tensor([1, float('nan')]), torch.tensor([float('-inf')])
OLD = dict(_use_new_zipfile_serialization=False)
FILES = {
    'empty': (b'', 'an empty file'),
    'zeros': (bytes(5000), 'a file of zeros'),
    'text': (b'see the wiki\n', "a text file that begins with 'see the wiki'"),
    'page': (b'\n<!DOCTYPE html><html>', 'a web page'),
    'xml': (b'<?xml version="1.0"?><Error/>', 'a web page'),
    'pointer': (
        b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n',
        'a Git LFS pointer; run `git lfs pull`',
    ),
    'json': (b'{"error": "no such file"}', 'a JSON file'),
    'gzip': (gzip.compress(saved(tensors())), 'a gzip file'),
    'tar': (tarred(), 'a tar archive'),
    'old tar': (old_tar(), 'a tar archive'),
    'noise': (bytes(range(200, 250)) * 9, 'an unknown format'),
    'onnx': (b'\x08\x08\x12\x07pytorch\x1a\x052.0.0', 'an ONNX or TensorFlow'),
    'saved model': (b'\x08\x01\x12\x80\x10' * 9, 'an ONNX or TensorFlow'),
    'keras': (b'\x89HDF\r\n\x1a\n' * 9, 'an HDF5 file'),
    'tensorflow index': (
        bytes(99) + b'\x57\xfb\x80\x8b\x24\x75\x47\xdb',
        "a part of TensorFlow's checkpoint",
    ),
    'tensorflow lite': (b'\x1c\0\0\0TFL3' * 9, 'a TensorFlow Lite model'),
    'array': (numpy_file(np.save, np.ones(3)), 'a NumPy array'),
    'arrays': (numpy_file(np.savez, np.ones(3)), 'a NumPy archive'),
    'other zip': (zipped({'x/readme.txt': b'hi'}), 'PyTorch did not write'),
    'empty zip': (zipped({}), 'an empty zip'),
    'cut zip': (saved(tensors())[:-30], 'cut off or damaged'),
    'half zip': (saved(tensors())[:900], 'cut off or damaged'),
    'headless zip': (saved(tensors())[40:], 'an unknown format'),
    'cut old file': (saved(tensors(), **OLD)[:-40], 'a file of PyTorch'),
    'half old file': (saved(tensors(), **OLD)[:150], 'a file of PyTorch'),
    'cut safetensors': (safe(HEADER, bytes(10)), 'safetensors .* cut off'),
    'huge header': (BIG, 'safetensors .* cut off'),
    'safetensors of text': (safe(b'{hello}'), 'safetensors .* cut off'),
    'list': (saved([torch.ones(2)]), 'holds a list'),
    'one tensor': (saved(torch.ones(2)), 'holds a Tensor'),
    'numbers': (saved(dict(a=1, b='x')), "without tensors.*'a', 'b'"),
    'nested': (saved(dict(state_dict=dict(a=1))), 'without tensors'),
    'not nested': (saved(dict(state_dict=[1], a=2)), 'without tensors'),
    'some numbers': (saved(tensors(epoch=3)), "'epoch' is a int"),
    'a number as name': (saved({3: torch.ones(2)}), 'without a name: 3'),
    'two of a name': (saved({'a': NAN[:1], 'module.a': NAN[:1]}), "'a' twice"),
    'nan': (saved(tensors(bad=NAN)), "'bad' has a number .* not finite"),
    'infinite': (saved(tensors(bad=INFINITE)), "'bad' has a number"),
    'sparse': (saved(tensors(bad=torch.eye(2).to_sparse())), "'bad' .* kind"),
    'complex': (saved(tensors(bad=torch.ones(2) + 1j)), "'bad' .* kind"),
    'expanded': (
        saved(tensors(bad=torch.ones(1).expand(1 << 40))),
        "'bad' claims",
    ),
    'code': (saved(dict(state_dict=Evil())), r'an object of \S*exec'),
    'old code': (saved(dict(a=Evil()), **OLD), r'an object of \S*exec'),
    'module': (saved(torch.nn.Linear(2, 2)), 'an object of torch.nn'),
    'counter': (saved(collections.deque()), 'an object of collections'),
    'plain pickle': (pickle.dumps({'a': 1}), 'a pickle that PyTorch did not'),
    'pickled code': (pickle.dumps(Evil()), 'a pickle that PyTorch did not'),
    'bomb': (
        zipped(
            {'x/data.pkl': b'', 'x/data/0': bytes(1 << 29)},
            compression=zipfile.ZIP_DEFLATED,
        ),
        'it claims 536,870,912 bytes',
    ),
    'other compression': (
        zipped({'x/data.pkl': b'.'}, compression=zipfile.ZIP_LZMA),
        'as no PyTorch does',
    ),
    'rows': (
        saved({TOKEN_TABLE: torch.ones(1, 2), TOKEN_ROWS: torch.arange(9)}),
        'do not fit',
    ),
    'vocabulary': (
        saved(
            {
                TOKEN_TABLE: torch.ones(1, 2),
                TOKEN_ROWS: torch.tensor([0, 1 << 50]),
            }
        ),
        'do not fit',
    ),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', FILES)
def test_wrong_files(name, tmp_path):
    content, message = FILES[name]
    path = tmp_path / 'weights.pt'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_state_dict(path)
    said = str(error.value)
    assert said.startswith(f'{path}')
    assert '\n' not in said
    assert 'weights_only' not in said


def test_names_tell_more(tmp_path):
    part = tmp_path / 'model.ckpt-9.data-00000-of-00001'
    part.write_bytes(bytes(range(200, 250)))
    with pytest.raises(ValueError, match='a part of TensorFlow'):
        read_state_dict(part)
    with pytest.raises(ValueError, match='is a folder'):
        read_state_dict(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_state_dict(tmp_path / 'missing.pt')


@pytest.mark.parametrize('kind', ['torchscript', 'plain', 'safetensors'])
def test_cut_anywhere(kind, small_state, small_model, write_weights, tmp_path):
    path = write_weights(small_state, tmp_path / 'whole', kind)
    content = path.read_bytes()
    cut = tmp_path / 'cut'
    for part in range(20):
        cut.write_bytes(content[: len(content) * part // 20])
        with pytest.raises(ValueError, match=str(cut)):
            load_clip(small_model, str(cut))


def test_a_flipped_bit_is_noticed(small_state, write_weights, tmp_path):
    path = write_weights(small_state, tmp_path / 'weights.pt', 'plain')
    content = bytearray(path.read_bytes())
    place = content.find(small_state['visual.proj'].numpy().tobytes())
    content[place + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'weights\.pt .*damaged'):
        read_state_dict(path)


def test_suffixes_do_not_matter(small_state, write_weights, tmp_path):
    for kind in ('plain', 'safetensors'):
        path = write_weights(small_state, tmp_path / f'{kind}.xyz', kind)
        assert read_state_dict(path).keys() == small_state.keys()


def test_scalars_of_numpy_become_numbers(tmp_path):
    meta = dict(best=np.float64(0.741), epoch=np.int32(3), flag=np.bool_(True))
    path = tmp_path / 'mmcv.pth'
    content = saved(dict(meta=meta, state_dict=tensors()))
    for old in (b'numpy._core.multiarray', b'numpy.core.multiarray'):
        # Uncompressed, but the checksum has to be made anew.
        path.write_bytes(content)
        with zipfile.ZipFile(path) as archive:
            members = {n: archive.read(n) for n in archive.namelist()}
        members = {
            n: c.replace(b'numpy._core.multiarray', old)
            for n, c in members.items()
        }
        path.write_bytes(zipped(members))
        loaded = read_file(path)['meta']
        assert loaded == dict(best=0.741, epoch=3, flag=True)
        assert [type(v) for v in loaded.values()] == [float, int, bool]
    assert read_state_dict(path).keys() == tensors().keys()


def test_the_format_without_a_zip(small_state, small_model, tmp_path):
    path = tmp_path / 'old.pt'
    path.write_bytes(saved(small_state, **OLD))
    found = load_clip(small_model, str(path)).state_dict()
    assert found.keys() == small_state.keys()
    assert all(torch.equal(found[n], v) for n, v in small_state.items())


class Attack:
    """A pickle that calls a function of NumPy with other arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'attack',
    [
        Attack(np.dtype, 'O'),
        Attack(np.dtype, [('a', 'f8')]),
        Attack(np.float64(0).__reduce__()[0], np.dtype('f8'), b'123'),
        Attack(np.array([1, None]).__reduce__()[0], np.ndarray, (0,), b'b'),
    ],
    ids=['object', 'fields', 'too short', 'array'],
)
def test_numpy_itself_unpickles_nothing(attack, tmp_path):
    path = tmp_path / 'mmcv.pth'
    path.write_bytes(saved(dict(meta=attack, state_dict=tensors())))
    with pytest.raises(ValueError, match=r'mmcv\.pth'):
        read_state_dict(path)
