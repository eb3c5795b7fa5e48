"""What torch.jit saves is read as torch.jit reads it, without its code."""

import zipfile

import pytest
import torch
from torch import nn

from mmseg_weakclip.models.clip.weight_files.reading import (
    read_file,
    read_state_dict,
)

pytestmark = pytest.mark.filterwarnings('ignore')


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.short = nn.Parameter(torch.randn(3, 4).half())
        self.register_buffer('passing', torch.ones(2), persistent=False)
        # No parameter and no buffer: not in a state dict.
        self.plain = torch.arange(3.0)
        self.number = 5
        self.words = ['a', 'b']
        self.table = {'a': 1.5}
        self.nothing = None

    def forward(self, x):
        return x


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()
        self.same_module = self.inner
        self.brain = nn.Parameter(torch.randn(2, 2).bfloat16())
        self.same_tensor = self.brain
        base = torch.randn(5, 6)
        self.register_buffer('base', base)
        self.register_buffer('strided', base[1:4, ::2].t())
        self.register_buffer('expanded', torch.randn(3, 1).expand(3, 7))
        self.register_buffer('empty', torch.zeros(0, 3))
        self.register_buffer('scalar', torch.tensor(7))
        self.register_buffer('flags', torch.tensor([True, False]))
        self.register_buffer('missing', None)
        self.no_bias = nn.Linear(2, 2, bias=False)
        self.listed = nn.ModuleList([nn.Linear(2, 2), nn.BatchNorm1d(2)])

    def forward(self, x):
        return x + torch.ones(3)


class Traced(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
        self.constant = torch.randn(4)

    def forward(self, x):
        return self.net(x) + self.constant.sum() + torch.tensor([[3.0]])


class Restoring(nn.Module):
    """Makes a file as soon as torch.jit.load sees it."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x

    @torch.jit.export
    def __getstate__(self):
        return self.path, self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, torch.Tensor, bool]):
        self.path = state[0]
        self.training = state[2]
        self.weight = state[1] + torch.from_file(state[0], True, 2)


def save(module, path):
    torch.jit.save(module, path)
    return path


@pytest.fixture
def archive(tmp_path):
    return save(torch.jit.script(Outer()), tmp_path / 'outer.pt')


def rewrite(source, target, changes):
    """Copy an archive with other members; its code is all or nothing."""
    with (
        zipfile.ZipFile(source) as old,
        zipfile.ZipFile(target, 'w', zipfile.ZIP_STORED) as new,
    ):
        members = {
            name.partition('/')[2]: old.read(name)
            for name in old.namelist()
            if not ('code' in changes and '/code/' in name)
        }
        if 'code' in changes:
            changes = {**changes, 'code/__torch__.py': changes['code']}
        for name, content in {**members, **changes}.items():
            if content is not None and name != 'code':
                new.writestr(f'outer/{name}', content)
    return target


@pytest.mark.parametrize(
    'make',
    [
        lambda: torch.jit.script(Outer()),
        lambda: torch.jit.script(Outer()).half(),
        lambda: torch.jit.script(Outer()).double(),
        lambda: torch.jit.trace(Traced(), torch.randn(2, 1, 2, 2)),
        lambda: torch.jit.freeze(torch.jit.script(Outer()).eval()),
    ],
    ids=['scripted', 'half', 'double', 'traced', 'frozen'],
)
def test_equals_the_state_dict_of_torch_jit(make, tmp_path):
    torch.manual_seed(0)
    path = save(make(), tmp_path / 'module.pt')
    expected = torch.jit.load(path).state_dict()
    found = read_file(path)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert found[name].stride() == value.stride(), name
        assert torch.equal(found[name], value), name


def test_archives_of_older_releases(archive, tmp_path):
    """Made on a GPU, and without members that came later."""
    with zipfile.ZipFile(archive) as members:
        data = members.read('outer/data.pkl')
    place = b'X\x03\x00\x00\x00cpu'
    assert data.count(place) == 1
    changes = {
        'data.pkl': data.replace(place, b'X\x06\x00\x00\x00cuda:0'),
        'byteorder': None,
        'version': b'3\n',
    }
    old = read_file(rewrite(archive, tmp_path / 'old.pt', changes))
    expected = read_file(archive)
    assert old.keys() == expected.keys()
    assert all(torch.equal(old[n], v) for n, v in expected.items())
    assert all(v.device.type == 'cpu' for v in old.values())


def test_shared_tensors_share_memory(archive):
    found = read_file(archive)
    base = found['base'].untyped_storage().data_ptr()
    assert found['strided'].untyped_storage().data_ptr() == base
    assert found['same_tensor'].data_ptr() == found['brain'].data_ptr()


def test_code_of_an_archive_is_not_run(tmp_path):
    made, other = tmp_path / 'made', tmp_path / 'other'
    save(torch.jit.script(Restoring(str(other))), tmp_path / 'control.pt')
    torch.jit.load(tmp_path / 'control.pt')
    assert other.exists()  # torch.jit does run it
    path = save(torch.jit.script(Restoring(str(made))), tmp_path / 'evil.pt')
    with pytest.raises(ValueError, match=r'evil\.pt .*__setstate__.* not run'):
        read_state_dict(path)
    assert not made.exists()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'code': None}, "lacks the member 'code/"),
        (
            {
                'code': b'class Other(Module):\n',
                'data.pkl': b'\x80\x02c__torch__\nOuter\n)\x81.',
            },
            'nothing declares',
        ),
        ({'data/0': None}, "lacks the member 'data/0'"),
        ({'data/0': b'12'}, 'which holds 2 bytes'),
        ({'data.pkl': b'\x80\x02}.'}, 'is not a module'),
        ({'data.pkl': b'\x80\x02'}, 'cannot be read'),
        ({'data.pkl': b'\x80\x02cos\nsystem\n)R.'}, 'calls os.system'),
        ({'data.pkl': b'\x80\x02cos\nsystem\n)\x81.'}, 'lacks the member'),
        ({'data.pkl': b'\x80\x02(i__torch__\nM\n.'}, 'an instruction INST'),
        ({'byteorder': b'big'}, 'big-endian'),
    ],
)
def test_archives_that_were_tampered_with(archive, tmp_path, changes, message):
    path = rewrite(archive, tmp_path / 'changed.pt', changes)
    with pytest.raises(ValueError, match=rf'changed\.pt.*{message}'):
        read_file(path)


def module_of(value: bytes) -> bytes:
    """The pickle of a module whose buffer ``base`` is a value."""
    return (
        b'\x80\x02c__torch__\nOuter\n)\x81}(X\x04\x00\x00\x00base'
        + value
        + b'ub.'
    )


def tensor_of(offset=0, size=(2,), stride=(1,), length=30, kind=b'Float'):
    def number(value):
        return b'\x8a\x09' + value.to_bytes(9, 'little', signed=True)

    def numbers(values):
        return b'(' + b''.join(map(number, values)) + b't'

    return module_of(
        b'ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage'
        + b'ctorch\n%sStorage\n' % kind
        + b'X\x01\x00\x00\x000X\x03\x00\x00\x00cpu'
        + number(length)
        + b'tQ'
        + number(offset)
        + numbers(size)
        + numbers(stride)
        + b'\x89ccollections\nOrderedDict\n)RtR'
    )


@pytest.mark.parametrize(
    ('tensor', 'message'),
    [
        (dict(size=(31,)), 'exceeds its storage'),
        (dict(offset=29), 'exceeds its storage'),
        (dict(size=(2, 2), stride=(29, 1)), 'exceeds its storage'),
        (dict(offset=-1), 'impossible shape'),
        (dict(size=(-2,)), 'impossible shape'),
        (dict(stride=(-1,)), 'impossible shape'),
        (dict(size=(2, 2)), 'impossible shape'),
        (dict(size=(1 << 64,), stride=(0,)), 'impossible shape'),
        (dict(size=(1 << 40,), stride=(0,)), 'larger than the file'),
        (dict(length=31), 'claims 31 numbers'),
        (dict(kind=b'Double'), 'claims 30 numbers'),
        (dict(kind=b'ComplexFloat'), 'numbers of the type'),
    ],
)
def test_bounds_of_tensors(archive, tmp_path, tensor, message):
    changes = {
        'data/0': bytes(120),
        'data.pkl': tensor_of(**tensor),
        'code': b'class Outer(Module):\n  __buffers__ = ["base", ]\n',
    }
    path = rewrite(archive, tmp_path / 'changed.pt', changes)
    with pytest.raises(ValueError, match=rf'changed\.pt.*{message}'):
        read_file(path)
    changes['data.pkl'] = tensor_of(size=(5, 3), stride=(6, 2), offset=1)
    good = read_file(rewrite(archive, tmp_path / 'good.pt', changes))
    assert torch.equal(good['base'], torch.zeros(5, 3))


def test_modules_inside_of_themselves(archive, tmp_path):
    # Each of 60 modules holds the next one twice.
    level = b'c__torch__\nOuter\n)\x81}(X\x01\x00\x00\x00a%sX\x01\x00\x00\x00b'
    value = b'N'
    for index in range(60):
        value = (level % value) + (
            b'Nub' if index == 0 else b'h%cub' % (index - 1)
        )
        value += b'q%c' % index
    changes = {
        'data.pkl': b'\x80\x02%s.' % value,
        'code': b'class Outer(Module):\n',
    }
    path = rewrite(archive, tmp_path / 'deep.pt', changes)
    with pytest.raises(ValueError, match='more than 100,000 modules'):
        read_file(path)
    loop = b'\x80\x02c__torch__\nOuter\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb.'
    changes['data.pkl'] = loop
    path = rewrite(archive, tmp_path / 'loop.pt', changes)
    with pytest.raises(ValueError, match='nested 100 deep'):
        read_file(path)
