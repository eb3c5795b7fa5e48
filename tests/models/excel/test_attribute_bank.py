import json

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import DATASETS

from mmseg_weakclip.models.clip.text_tower import TextTower
from mmseg_weakclip.models.clip.tokenizer import Tokenizer
from mmseg_weakclip.models.clip.weights import load_clip
from mmseg_weakclip.models.excel.attribute_bank import (
    AttributeBank,
    cluster_attributes,
    encode_descriptions,
    read_descriptions,
)

NOTE = dict(
    model='toyclip', pretrained='None', fingerprint='7', prefix='', seed='0'
)


@pytest.fixture
def bank():
    return AttributeBank(
        torch.randn(5, 8), torch.randint(0, 3, (2, 5)), dict(NOTE)
    )


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / 'descriptions.json'
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text)
        return path

    return write


def test_travels_through_a_file(bank, tmp_path):
    path = tmp_path / 'bank.safetensors'
    bank.save(path)
    again = AttributeBank.load(path)
    assert torch.equal(again.centres, bank.centres)
    assert torch.equal(again.members, bank.members)
    assert again.note == NOTE
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_files_that_are_no_banks(tmp_path):
    with pytest.raises(FileNotFoundError, match='does not exist: .*tools/'):
        AttributeBank.load(tmp_path / 'none.safetensors')
    text = tmp_path / 'text.safetensors'
    text.write_text('hello')
    with pytest.raises(ValueError, match='text.safetensors is damaged'):
        AttributeBank.load(text)
    from safetensors.torch import save_file

    other = tmp_path / 'other.safetensors'
    save_file(dict(centres=torch.zeros(1, 2)), other)
    with pytest.raises(
        ValueError, match='other.safetensors is not an attribute'
    ):
        AttributeBank.load(other)


def test_another_text_tower_is_refused(bank):
    bank.check_model(7, 'toyclip')
    with pytest.raises(ValueError, match=r'toyclip \(None\).*in use is ViT-B'):
        bank.check_model(8, 'ViT-B-16')


@pytest.mark.parametrize(
    ('name', 'dataset', 'count'),
    [
        ('voc', 'PascalVOCDataset', 20),
        ('coco', 'WeakCOCO14Dataset', 80),
        ('toyland', 'ToylandDataset', 8),
    ],
)
def test_shipped_descriptions(name, dataset, count):
    classes = DATASETS.get(dataset).METAINFO['classes'][1:]
    found = read_descriptions(name, classes)
    assert list(found) == list(classes)
    assert len(found) == count
    sentences = [s for group in found.values() for s in group]
    assert len(set(sentences)) == 20 * count
    for own, group in found.items():
        assert len(group) == 20
        for sentence in group:
            words = sentence.lower().strip('.').split()
            assert 3 < len(words) <= 20
            # The class is not named (orange is a colour, too); the prefix
            # does that.
            for word in own.split():
                assert word not in words or word == 'orange', sentence


def test_shipped_descriptions_fit_clip():
    tokenizer = Tokenizer('ViT-B-16-quickgelu')
    for name in ('voc', 'coco'):
        for own, group in read_descriptions(name).items():
            texts = [f'a clean origami {own}. {s}' for s in group]
            tokenizer(texts, 76)


def test_some_classes_in_their_order(write):
    path = write({'a': ['x'], 'b': ['y'], 'c': ['z']})
    assert read_descriptions(path, ['c', 'a']) == {'c': ['z'], 'a': ['x']}
    assert list(read_descriptions(path)) == ['a', 'b', 'c']


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{', 'descriptions.json is not JSON'),
        (['a'], 'must map class names'),
        ({'dog': ['x']}, "does not describe 'cat'; it has dog"),
        ({'cat': []}, "'cat' needs a list of one or more sentences"),
        ({'cat': 'has fur'}, "'cat' needs a list"),
        ({'cat': ['x', ' ']}, "'cat' has an invalid sentence: ' '"),
        ({'cat': ['x', 3]}, "'cat' has an invalid sentence: 3"),
    ],
    ids=str,
)
def test_bad_descriptions(write, content, message):
    with pytest.raises(ValueError, match=message):
        read_descriptions(write(content), ['cat'])


def test_unknown_descriptions():
    with pytest.raises(FileNotFoundError, match=r"'coco', 'toyland', 'voc'"):
        read_descriptions('vocc')


@pytest.fixture
def tower(device):
    torch.manual_seed(0)
    return TextTower(load_clip('toyclip', None)).to(device)


def test_sentences_are_encoded_behind_the_prefix(tower):
    import open_clip

    descriptions = {'boat': ['It has sails.', 'a Mast'], 'car': ['wheels']}
    ours = encode_descriptions(
        tower, Tokenizer('toyclip'), descriptions, 'a {}.'
    )
    texts = ['a boat. it has sails.', 'a boat. a mast', 'a car. wheels']
    torch.manual_seed(0)
    clip = load_clip('toyclip', None).eval()
    with torch.no_grad():
        expected = clip.encode_text(
            open_clip.get_tokenizer('toyclip')(texts), normalize=True
        )
    assert torch.allclose(ours, expected, atol=1e-5)
    alone = encode_descriptions(
        tower, Tokenizer('toyclip'), {'boat': ['it has sails.']}, ''
    )
    assert not torch.allclose(alone[0], ours[0], atol=1e-3)


def test_sentence_that_does_not_fit(tower):
    long = {'boat': ['sails.'], 'car': [80 * 'wheels ']}
    with pytest.raises(ValueError, match="of 'car': the text .*wheels"):
        encode_descriptions(tower, Tokenizer('toyclip'), long)


def test_clusters_are_found_and_counted():
    """Three clouds; the second is of both classes."""
    torch.manual_seed(0)
    middles = 5 * torch.eye(3)
    clouds = [
        F.normalize(m + 0.1 * torch.randn(6, 3), dim=-1) for m in middles
    ]
    owners = torch.tensor(6 * [0] + 3 * [0] + 3 * [1] + 6 * [1])
    centres, members = cluster_attributes(torch.cat(clouds), owners, 3)
    order = centres.argmax(1)
    assert sorted(order.tolist()) == [0, 1, 2]
    for centre, members_of, index in zip(centres, members.T, order):
        # The plain mean, not normalised again.
        assert torch.allclose(centre, clouds[index].mean(0), atol=1e-5)
        assert members_of.tolist() == [[6, 0], [3, 3], [0, 6]][index]
    again, _ = cluster_attributes(torch.cat(clouds), owners, 3)
    assert torch.equal(again, centres)


@pytest.mark.parametrize('count', [0, 4])
def test_more_attributes_than_sentences(count):
    with pytest.raises(ValueError, match=f'{count} attributes .* 3 sentences'):
        cluster_attributes(torch.randn(3, 4), torch.zeros(3).long(), count)
