"""The package registers its parts, and no sooner than they are needed."""

import subprocess
import sys

import pytest
from mmengine.registry import DATA_SAMPLERS
from mmseg import registry

import mmseg_weakclip
from mmseg_weakclip import parts

REGISTRIES = [
    DATA_SAMPLERS,
    *(v for v in vars(registry).values() if hasattr(v, 'module_dict')),
]


def run(code: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_alone_is_light():
    heavy = ('torch', 'mmengine', 'mmseg', 'open_clip', 'timm', 'cv2')
    code = (
        'import mmseg_weakclip, sys;'
        f'print([m for m in {heavy} if m in sys.modules])'
    )
    assert run(code) == '[]\n'


def test_any_module_knows_toyland():
    """Tools ask for its CLIP and its classes before any registry."""
    code = (
        'from mmseg_weakclip.models.clip.local_models import local_tags;'
        'from mmseg_weakclip.common.names import read_vocabulary;'
        "print(local_tags('toyclip'), len(read_vocabulary('toyland')))"
    )
    assert run(code) == "['toyland'] 8\n"


BUILD = "print(MODELS.build(dict(type='TextScoreHead', num_classes=3)))"
ORDERS = {
    'ours first': 'import mmseg_weakclip; from mmseg.registry import MODELS;',
    'behind mmseg.apis': 'import mmseg.apis, mmseg_weakclip;'
    'from mmseg.registry import MODELS;',
    'before mmseg.apis': 'import mmseg_weakclip, mmseg.apis;'
    'from mmseg.registry import MODELS;',
    'custom_imports': 'from mmengine import Config, MODELS, DefaultScope;'
    "DefaultScope.get_instance('x', scope_name='mmseg');"
    "Config(dict(custom_imports=dict(imports=['mmseg_weakclip'])));"
    'from mmengine.utils import import_modules_from_strings as load;'
    "load(['mmseg_weakclip']);",
}


@pytest.mark.parametrize('order', ORDERS)
def test_any_order_of_imports(order):
    """Parts build, and checkpoints are read as data.

    mmengine's own loader would run code from a checkpoint.
    """
    code = (
        'from mmengine.runner import CheckpointLoader as loader;'
        "print(loader._get_checkpoint_loader('any.pth').__module__)"
    )
    printed = run(f'{ORDERS[order]}{BUILD};{code}').splitlines()
    # Our import prints nothing; that of mmseg's trainers warns.
    assert order != 'ours first' or printed[0].startswith('TextScoreHead(')
    assert ''.join(printed[:-1]).count('TextScoreHead') == 1
    assert printed[-1] == 'mmseg_weakclip.engine.checkpoint_files'


def test_dotted_names_need_no_custom_imports():
    code = 'from mmseg.registry import MODELS;'
    code += BUILD.replace('TextScore', 'mmseg_weakclip.TextScore')
    assert run(code).count('TextScoreHead') == 1


def test_every_part_is_a_name_of_the_package():
    """So that type='mmseg_weakclip.X' works in every config."""
    found = {
        name: part
        for one in REGISTRIES
        for name, part in one.module_dict.items()
        if part.__module__.startswith('mmseg_weakclip')
    }
    assert len(found) > 60
    for name, part in found.items():
        assert getattr(mmseg_weakclip, name) is part, name
    # File backends have a registry of their own.
    assert set(parts.__all__) - set(found) == {'WholeFileBackend'}


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        mmseg_weakclip.Nothing  # noqa: B018
