import runpy
import sys

import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.models.excel.attribute_bank import AttributeBank
from mmseg_weakclip.models.excel.enrichment import (
    AttributeText,
    enrich,
    number_kept,
)


@pytest.fixture(scope='module')
def bank_file(repo, tmp_path_factory):
    """What the tool makes of toyland's descriptions."""
    path = tmp_path_factory.mktemp('bank') / 'sub/toyland.safetensors'
    tool = str(repo / 'tools/build_attribute_bank.py')
    command = f'{tool} toyland --out {path} --clusters 12 --model toyclip'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys, 'argv', [*command.split(), '--pretrained', 'toyland']
        )
        runpy.run_path(tool, run_name='__main__')
    return str(path)


def unit(*shape, device='cpu'):
    return F.normalize(torch.randn(*shape, device=device), dim=-1)


def test_equals_the_formula(device):
    text, attributes = unit(3, 8, device=device), unit(10, 8, device=device)
    ours = enrich(text, attributes, weight=0.7, temperature=0.5, keep=0.8)
    for row, t in zip(ours, text):
        scores = torch.stack([t @ a for a in attributes])
        least = scores.argsort()[:1]
        scores[least] = -torch.inf
        shares = (scores / 0.5).softmax(0)
        hunted = sum(s * a for s, a in zip(shares, attributes))
        expected = t + 0.7 * hunted
        assert torch.allclose(row, expected / expected.norm(), atol=1e-6)


def test_by_hand():
    """Two attributes, one kept: the nearer."""
    text = torch.tensor([[1.0, 0.0]])
    attributes = torch.tensor([[0.0, 1.0], [0.6, 0.8]])
    ours = enrich(text, attributes, keep=1)
    expected = torch.tensor([[1.6, 0.8]]) / 3.2**0.5
    assert torch.allclose(ours, expected)


def test_nothing_added_is_nothing_changed():
    text = unit(3, 8)
    assert torch.allclose(enrich(text, unit(6, 8), weight=0.0), text)


def test_a_low_temperature_takes_the_nearest():
    text, attributes = unit(3, 8), unit(6, 8)
    cold = enrich(text, attributes, temperature=1e-4, keep=1.0)
    nearest = enrich(text, attributes, keep=1)
    assert torch.allclose(cold, nearest, atol=1e-4)


@pytest.mark.parametrize(
    ('keep', 'total', 'kept'),
    [(0.9, 112, 101), (0.9, 224, 202), (0.9, 8, 8), (1.0, 5, 5), (3, 5, 3)],
)
def test_number_kept(keep, total, kept):
    """101 of 112 and 202 of 224 are the published ones; below ten clusters
    the published code keeps none."""
    assert number_kept(keep, total) == kept


@pytest.mark.parametrize('keep', [0, 6, 0.0, 1.5, -1])
def test_bad_keep(keep):
    with pytest.raises(ValueError, match=f'keep={keep}'):
        number_kept(keep, 5)


def test_stands_for_a_text_bank(bank_file, text_cfg):
    enriched = AttributeText(text_cfg, bank_file, keep=5)
    plain = enriched.text
    assert len(enriched) == 3
    assert enriched.rows_per_class == [1] * 5
    assert enriched.background_words == (('sky',), ('road',))
    rows, before = enriched(), plain()
    assert torch.equal(rows[3:], F.normalize(before[3:], dim=-1))
    expected = enrich(
        before[:3], AttributeBank.load(bank_file).centres, keep=5
    )
    assert torch.allclose(rows[:3], expected, atol=1e-6)
    assert not torch.allclose(rows[:3], before[:3], atol=1e-2)
    # Neither in checkpoints nor with gradients.
    assert not any('attributes' in name for name in enriched.state_dict())
    assert not rows.requires_grad


def test_names_may_come_later(bank_file, text_cfg):
    text = {key: text_cfg[key] for key in ('type', 'model', 'pretrained')}
    enriched = AttributeText(text, bank_file)
    with pytest.raises(RuntimeError, match='class names .* not known'):
        enriched()
    enriched.text.set_names(('fish', 'tree'))
    assert enriched.names == (('fish',), ('tree',))
    assert enriched().shape[0] == 2


def test_synonyms_are_enriched_one_by_one(bank_file, text_cfg):
    text = dict(text_cfg, names=('boat', ('car', 'bird')), synonyms='keep')
    enriched = AttributeText(text, bank_file)
    alone = AttributeText(text_cfg, bank_file)
    assert enriched.rows_per_class == [1, 2, 1, 1]
    assert torch.allclose(enriched(), alone(), atol=1e-6)


def test_in_a_head(bank_file, text_cfg):
    from mmseg_weakclip.models.cam.patch_text import PatchTextHead
    from mmseg_weakclip.models.clip.vit import CLIPViT

    vit = CLIPViT('toyclip', 'toyland', dense='excel', with_tokens=True)
    features = vit.eval()(torch.randn(1, 3, 40, 56))
    text = dict(type='AttributeText', text=text_cfg, bank=bank_file)
    logits = PatchTextHead(4, text)(features)
    plain = PatchTextHead(4, text_cfg)(features)
    assert logits.shape == plain.shape == (1, 4, 5, 7)
    assert torch.equal(logits[:, 0], plain[:, 0])  # background words
    assert not torch.allclose(logits[:, 1:], plain[:, 1:], atol=1e-2)


def test_bank_of_another_clip(bank_file, text_cfg):
    torch.manual_seed(5)
    with pytest.raises(ValueError, match=r'toyclip \(toyland\).* build a ban'):
        AttributeText({**text_cfg, 'pretrained': None}, bank_file)


@pytest.mark.parametrize(
    ('options', 'message'),
    [(dict(temperature=0), 'temperature=0'), (dict(keep=13), 'keep=13 of 12')],
)
def test_bad_values(bank_file, options, message, text_cfg):
    with pytest.raises(ValueError, match=message):
        AttributeText(text_cfg, bank_file, **options)


def test_bank_says_where_it_comes_from(bank_file):
    note = AttributeBank.load(bank_file).note
    assert note['model'] == 'toyclip'
    assert note['pretrained'] == 'toyland'
    assert note['prefix'] == 'a clean origami {}.'
    assert len(note['descriptions']) == 64
    assert '"boat"' in note['classes']


def test_class_that_is_not_described(repo, tmp_path, monkeypatch):
    tool = str(repo / 'tools/build_attribute_bank.py')
    out = tmp_path / 'bank.safetensors'
    command = f'{tool} toyland --out {out} --clusters 4 --model toyclip'
    monkeypatch.setattr(
        sys, 'argv', [*command.split(), '--classes', 'boat, plane']
    )
    with pytest.raises(ValueError, match="does not describe 'plane'"):
        runpy.run_path(tool, run_name='__main__')
    assert not out.exists()
