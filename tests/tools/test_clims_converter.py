"""CLIMS's ResNet-50 by torchvision's names, and brought back."""

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('model_converters/clims.py')


@pytest.fixture
def build_model(repo):
    """Build the classifier that CLIMS starts from."""

    def build():
        path = repo / 'configs/cam/cam_r50_1xb16-5e_voc12-512x512.py'
        cfg = Config.fromfile(path).model
        cfg.pretrained = None
        return MODELS.build(cfg)

    return build


@pytest.fixture
def model(build_model):
    model = build_model()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    return model.eval()


@pytest.fixture
def released(model):
    """As published: with a prefix, and some tensors twice."""
    state = {
        f'resnet50.{name}': value
        for name, value in model.backbone.state_dict().items()
    }
    weight = model.decode_head.conv_seg.weight.detach()
    state |= {'classifier.weight': weight, 'newly_added.0.weight': weight}
    state['stage1.0.weight'] = state['resnet50.conv1.weight']
    state['resnet50.fc.bias'] = torch.zeros(1000)
    return state


def test_everything_comes_back(
    tool, model, build_model, released, tmp_path, capfd
):
    source, out = tmp_path / 'res50_cam.pth', tmp_path / 'made/cam.pth'
    torch.save({f'module.{n}': v for n, v in released.items()}, source)
    tool.main([str(source), str(out)])
    text = ''.join(capfd.readouterr())
    left_out = 'newly_added.0.weight, stage1.0.weight, resnet50.fc.bias'
    assert f'3 tensors left out: {left_out}' in text
    assert 'with 20 foreground classes' in text
    other = build_model().eval()
    other.load_state_dict(torch.load(out, weights_only=True)['state_dict'])
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.decode_head(model.extract_feat(image))
        found = other.decode_head(other.extract_feat(image))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_other_forms(tool, released):
    """No prefix, no counts of batches, a classifier without pixels."""
    plain = {
        name.removeprefix('resnet50.'): value
        for name, value in released.items()
        if name.startswith('resnet50.') and 'num_batches' not in name
    }
    plain['classifier.weight'] = released['classifier.weight'][..., 0, 0]
    converted = tool.convert_weights(plain)
    whole = tool.convert_weights(released)
    assert converted.left_out == ('fc.bias',)
    assert converted.weights.keys() == whole.weights.keys()
    for name, value in whole.weights.items():
        assert torch.equal(value, converted.weights[name]), name


def test_what_is_wrong_is_named(tool, released, tmp_path, capsys):
    source, out = tmp_path / 'some.pth', tmp_path / 'out.pth'
    changed = dict(released)
    del changed['resnet50.layer4.2.conv3.weight']
    changed['resnet50.bn1.weight'] = torch.ones(3)
    changed['classifier.weight'] = torch.ones(20, 5)
    changed['extra'] = torch.ones(5)
    cases = (
        (
            changed,
            f'{source}: '
            "'resnet50.bn1.weight' is (3,) instead of (64,); "
            "'resnet50.layer4.2.conv3.weight' is missing; 'classifier.weight' "
            'is (20, 5) instead of (classes, 2048, 1, 1); nothing is known of',
        ),
        ({'a': torch.ones(1)}, 'not weights of a ResNet-50'),
        (torch.ones(1), 'holds a Tensor'),
    )
    for content, message in cases:
        torch.save(content, source)
        with pytest.raises(SystemExit):
            tool.main([str(source), str(out)])
        assert message in capsys.readouterr().err
    assert not out.exists()
