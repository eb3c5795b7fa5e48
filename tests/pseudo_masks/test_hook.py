from types import SimpleNamespace

import torch
from torch import nn

from mmseg_weakclip.models.clip.text import TemplateText
from mmseg_weakclip.pseudo_masks.hook import PseudoMaskHook, hash_weights


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def test_every_value_counts():
    model = make_model()
    before = hash_weights(model)
    for name, value in model.state_dict().items():
        last = value.view(-1)[-1:]
        kept = last.clone()
        last += 1
        assert hash_weights(model) != before, name
        last.copy_(kept)
        assert hash_weights(model) == before


def test_the_last_bit_counts():
    model = make_model()
    before = hash_weights(model)
    with torch.no_grad():
        weight = model[0].weight.view(-1)
        weight[0] = torch.nextafter(weight[0], torch.tensor(9.0))
    assert hash_weights(model) != before


def test_names_count():
    model = make_model()
    assert hash_weights(model) != hash_weights(nn.Sequential(model))


def test_place_order_and_layout_do_not_count(device):
    model = make_model()
    before = hash_weights(model)
    reordered = nn.ModuleDict({'1': model[1], '0': model[0]}).to(device)
    assert list(reordered.state_dict()) != list(model.state_dict())
    assert hash_weights(reordered) == before
    model.to(memory_format=torch.channels_last)
    assert hash_weights(model) == before


def test_frozen_towers_take_part():
    clip = dict(model='toyclip', names=('boat', 'car'))
    shipped = TemplateText(**clip, pretrained='toyland')
    assert not any('module' in name for name in shipped.state_dict())
    before = hash_weights(shipped)
    assert hash_weights(TemplateText(**clip, pretrained='toyland')) == before
    assert hash_weights(TemplateText(**clip, pretrained=None)) != before
    shipped.set_names(('boat', 'ship'))
    assert hash_weights(shipped) != before


def test_a_test_without_masks_is_left_alone():
    evaluator = SimpleNamespace(metrics=[object()])
    # Nothing else of the Runner is there to be touched.
    PseudoMaskHook().before_test(SimpleNamespace(test_evaluator=evaluator))
