from types import SimpleNamespace

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.engine.hooks import ClassNamesHook
from mmseg_weakclip.models.clims.background_texts import BackgroundTexts
from mmseg_weakclip.models.clip.text import TemplateText

NAMES = ('boat', 'car')


@pytest.fixture
def build(device):
    def build(source, names=NAMES, **kwargs):
        return MODELS.build(
            dict(
                type='BackgroundTexts',
                model='toyclip',
                pretrained='toyland',
                source=source,
                names=names,
                **kwargs,
            )
        ).to(device)

    return build


def encode(*texts, device, template='a photo of {}.'):
    """The same texts by the bank that is used for classes."""
    bank = TemplateText(
        'toyclip', 'toyland', names=texts, templates=template
    ).to(device)
    return bank()


def labels(*values, device):
    return torch.tensor(values, device=device)


def test_a_fixed_list(build, device):
    bank = build(['water', 'road', 'sails', 'sky'])
    found, mask = bank(['x', 'y'], labels(1, 0, device=device))
    assert found.dtype == torch.float32
    # Boats have no sails behind them.
    assert mask.tolist() == [[True] * 4, [True] * 3 + [False]]
    torch.testing.assert_close(
        found[0], encode('water', 'road', 'sails', 'sky', device=device)
    )
    torch.testing.assert_close(
        found[1, :3], encode('water', 'road', 'sky', device=device)
    )
    assert not found[1, 3].any()
    torch.testing.assert_close(
        found.norm(dim=-1), mask.float(), msg='unit length, or zero'
    )


def test_a_class_without_texts(build, device):
    bank = build({'boat': ['water']})
    found, mask = bank(['x', 'y'], labels(0, 1, device=device))
    assert mask.tolist() == [[True], [False]]
    found, mask = bank(['y'], labels(1, device=device))
    assert found.shape == (1, 0, 64)
    assert mask.shape == (1, 0)
    found, mask = bank([], labels(device=device).long())
    assert found.shape == (0, 0, 64)


def test_a_cache(build, write_cache, device):
    bank = build(write_cache(), names=('car', 'boat'))
    found, mask = bank(['a', 'b', 'a', 'c'], labels(1, 0, 0, 1, device=device))
    assert mask.tolist() == [
        [True, True, False],
        [True, True, True],
        [False] * 3,
        [False] * 3,
    ]
    torch.testing.assert_close(
        found[0, :2], encode('water', 'sky', device=device)
    )
    torch.testing.assert_close(
        found[1], encode('road', 'sand', 'sky', device=device)
    )
    assert not found[2:].any()


def test_top_and_fallback(build, write_cache, device):
    bank = build(write_cache(), top=2, fallback='toyland')
    found, mask = bank(['b', 'a'], labels(1, 1, device=device))
    assert mask.all()
    torch.testing.assert_close(
        found,
        torch.stack(
            [
                encode('road', 'sand', device=device),
                encode('water', 'road', device=device),
            ]
        ),
    )


def test_another_template(build, device):
    bank = build(['water'], template='the {}')
    found, _ = bank(['x'], labels(0, device=device))
    expected = encode('water', template='the {}', device=device)
    torch.testing.assert_close(found[0], expected)


def test_texts_are_encoded_once(build, device, monkeypatch):
    bank = build(['water', 'road'])
    calls = []
    inner = bank.tower.encode
    monkeypatch.setattr(
        bank.tower, 'encode', lambda *a: calls.append(1) or inner(*a)
    )
    for _ in range(3):
        bank(['x'], labels(0, device=device))
    assert len(calls) == 1
    bank.set_names(NAMES)
    bank(['x'], labels(0, device=device))
    assert len(calls) == 2


def test_chunks_change_nothing(build, device, monkeypatch):
    source = ['water', 'road', 'sky', 'sand', 'brick']
    whole, _ = build(source)(['x'], labels(0, device=device))
    name = 'mmseg_weakclip.models.clims.background_texts.CHUNK'
    monkeypatch.setattr(name, 2)
    parts, _ = build(source)(['x'], labels(0, device=device))
    torch.testing.assert_close(parts, whole)


def test_float32_under_autocast(build, device):
    bank = build(['water', 'road'])
    plain, _ = bank(['x'], labels(0, device=device))
    bank.set_names(NAMES)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        found, _ = bank(['x'], labels(0, device=device))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plain)


def test_checkpoints_have_names_and_no_texts(build, device):
    bank = build(['water', 'road'])
    bank(['x'], labels(0, device=device))
    state = bank.state_dict()
    assert sum(value.numel() for value in state.values()) < 100
    other = build(['water', 'road'], names=None)
    other.load_state_dict(state)
    assert other.names == bank.names


def test_names_from_the_data_set(build, device):
    bank = build(['water', 'sails'], names=None)
    with pytest.raises(RuntimeError, match='names .* are not known'):
        bank(['x'], labels(0, device=device))
    dataset = SimpleNamespace(metainfo=dict(classes=('background', *NAMES)))
    runner = SimpleNamespace(
        model=torch.nn.ModuleDict({'texts': bank}),
        train_dataloader=SimpleNamespace(dataset=dataset),
    )
    ClassNamesHook().before_train(runner)
    _, mask = bank(['x'], labels(0, device=device))
    assert mask.sum() == 1, 'the first class is boat, not the background'


def test_nothing_learns(build, device):
    bank = build(['water'])
    found, _ = bank(['x'], labels(0, device=device))
    assert not found.requires_grad
    assert not any(p.requires_grad for p in bank.parameters())


def test_bad_input(build, write_cache, device):
    with pytest.raises(ValueError, match='background texts is empty'):
        build([])
    long = 'very ' * 60 + 'long road'
    with pytest.raises(ValueError, match=f'{long}.*context'):
        build(['water', long])
    with pytest.raises(ValueError, match='car, which are none of boat'):
        build(write_cache(), names=('boat',))
    with pytest.raises(ValueError, match='cache.json holds no text'):
        build(write_cache(images={'a': {}}))
    with pytest.raises(ValueError, match="unknown class 'boat'; the classes"):
        build({'boat': ['sea']}, names=('car',))
    with pytest.raises(FileNotFoundError, match='gone.json does not exist'):
        build('gone.json')
    with pytest.raises(ValueError, match='top=0'):
        build(['water'], top=0)
    with pytest.raises(ValueError, match='no {} for the text'):
        build(['water'], template='a photo')
    bank = build(write_cache())
    with pytest.raises(ValueError, match="lacks 1 of 1 .*'z'"):
        bank(['z'], labels(0, device=device))
    with pytest.raises(ValueError, match="lacks 1 of 2 .*'z'"):
        bank.check_images(['a', 'z'])
    with pytest.raises(ValueError, match="'a' has the label 2.* 0 to 1"):
        bank(['a'], labels(2, device=device))
    with pytest.raises(ValueError, match='1 image ids for 2 labels'):
        bank(['a'], labels(0, 1, device=device))


def test_a_fixed_list_knows_all_images(build):
    bank: BackgroundTexts = build(['water'])
    bank.check_images(['anything'])
    assert bank.texts('anything', 0) == ('water',)
