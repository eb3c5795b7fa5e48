"""The wheel and the sdist, built and used away from the checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

SCENES = 10
TWO_ITERATIONS = (
    '--cfg-options', 'train_cfg.max_iters=2', 'train_dataloader.batch_size=1',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False', 'val_cfg=None',
    'val_dataloader=None', 'val_evaluator=None',
)  # fmt: skip


def run(*words, cwd, **settings):
    """Return what a command prints; a failure is an error."""
    done = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listed(repo: Path, *folders: str) -> list[str]:
    """Return the files of the checkout that are not ignored."""
    options = ('-z', '--cached', '--others', '--exclude-standard')
    names = run('git', 'ls-files', *options, '--', *folders, cwd=repo)
    return [name for name in names.split('\0') if (repo / name).is_file()]


@pytest.fixture(scope='module')
def source(repo, tmp_path_factory) -> Path:
    """A copy of what git tracks: no build leaves anything in the checkout."""
    folder = tmp_path_factory.mktemp('source')
    for name in listed(repo):
        if not name.startswith(('tests/', 'docs/')):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(repo / name, target)
    return folder


@pytest.fixture(scope='module')
def sdist(source) -> Path:
    run(sys.executable, 'setup.py', '-q', 'sdist', cwd=source)
    (archive,) = (source / 'dist').glob('*.tar.gz')
    return archive


@pytest.fixture(scope='module')
def wheel(sdist, tmp_path_factory) -> Path:
    """The wheel, built from the sdist: it has to hold all that is needed."""
    folder = tmp_path_factory.mktemp('wheel')
    pip = (sys.executable, '-m', 'pip', '-q', '--disable-pip-version-check')
    options = ('--no-deps', '--no-build-isolation', '-w', folder)
    run(*pip, 'wheel', *options, sdist, cwd=folder)
    (archive,) = folder.glob('*.whl')
    return archive


@pytest.fixture(scope='module')
def weakclip(wheel, tmp_path_factory):
    """Call the installed command in an empty folder."""
    site = tmp_path_factory.mktemp('site')
    pip = (sys.executable, '-m', 'pip', '-q', '--disable-pip-version-check')
    run(
        *pip, 'install', '--no-deps', '--target', site, wheel, cwd=site,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp('elsewhere')

    def call(*words) -> str:
        return run(
            sys.executable, site / 'bin/weakclip', *words,
            cwd=folder, PYTHONPATH=str(site),
        )  # fmt: skip

    call.folder, call.site = folder, site
    return call


def test_archives_hold_everything(sdist, wheel, repo):
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        source = {name.partition('/')[2] for name in archive.getnames()}
    tracked = run('git', 'ls-files', 'mmseg_weakclip', cwd=repo).split()
    assert [
        n for n in tracked if (repo / n).exists() and n not in inside
    ] == []
    carried = run('git', 'ls-files', 'configs', 'tools', cwd=repo).split()
    carried = [name for name in carried if (repo / name).exists()]
    assert len(carried) > 100
    for name in [*carried, 'model-index.yml']:
        assert f'mmseg_weakclip/.mim/{name}' in inside
        assert name in source
    assert not [name for name in inside if name.startswith('tests')]


def test_the_package_is_the_installed_one(weakclip):
    code = 'import mmseg_weakclip; print(mmseg_weakclip.__file__)'
    place = run(
        sys.executable, '-c', code,
        cwd=weakclip.folder, PYTHONPATH=str(weakclip.site),
    )  # fmt: skip
    assert place.startswith(str(weakclip.site))


@pytest.fixture(scope='module')
def toyland(weakclip) -> Path:
    """Ten scenes and two, as data set and as photos."""
    weakclip('toyland', '--out', 'data/toyland', '--train', SCENES, '--val', 2,
             '--plain', 'toy')  # fmt: skip
    return weakclip.folder / 'data/toyland'


def test_one_command(weakclip, toyland):
    """Ten scenes up to their seeds."""
    said = weakclip(
        'run', '--images', 'toy/photos', '--labels', 'toy/labels.csv',
        '--classes', 'toy/classes.yaml', '--work-dir', 'out', '--profile',
        'toyland', '--segmenter', 'fpn_small', '--until', 'seeds',
    )  # fmt: skip
    assert 'stopped after seeds' in said
    masks = list((weakclip.folder / 'out/seeds/masks').glob('*.png'))
    assert len(masks) == SCENES + 2


def test_every_data_file_is_read(weakclip):
    code = (
        'from mmseg_weakclip.models.clip.weights import load_clip\n'
        'from mmseg_weakclip.models.clip.vocabulary import resolve_names\n'
        'from mmseg_weakclip.models.clims.background_lists import '
        'denied_words\n'
        'from mmseg_weakclip.models.clims.words import '
        'read_background_words\n'
        'from mmseg_weakclip.models.excel.attribute_bank import '
        'read_descriptions\n'
        "load_clip('toyclip', 'toyland')\n"
        "assert resolve_names('voc') and resolve_names('coco')\n"
        "assert denied_words('boat')\n"
        "assert read_background_words('open')\n"
        "for name in ('voc', 'coco', 'toyland'):\n"
        '    assert read_descriptions(name, None)\n'
    )
    run(
        sys.executable, '-c', code,
        cwd=weakclip.folder, PYTHONPATH=str(weakclip.site),
    )  # fmt: skip


@pytest.fixture(scope='module')
def seeds(toyland):
    """Toyland with its truth in place of seeds."""
    shutil.copytree(toyland / 'SegmentationClass', toyland / 'seeds/masks')


def test_a_config_builds_on_an_installed_one(weakclip, seeds):
    base = "_base_ = 'mmseg_weakclip::toyland/weakclip.py'\n"
    (weakclip.folder / 'mine.py').write_text(base)
    weakclip('train', 'mine.py', '--work-dir', 'based', *TWO_ITERATIONS)
    assert (weakclip.folder / 'based/iter_2.pth').is_file()


def test_a_flat_config_needs_nothing_of_ours(weakclip, seeds):
    """mmengine's Runner takes it as it is, as mmseg's tools/train.py does."""
    text = weakclip('config', 'toyland/weakclip')
    assert '# WeakCLIP at toyland' in text
    assert '_base_' not in text
    (weakclip.folder / 'flat.py').write_text(text)
    code = (
        'from mmengine.config import Config, DictAction\n'
        'from mmengine.runner import Runner\n'
        "cfg = Config.fromfile('flat.py')\n"
        f'for option in {TWO_ITERATIONS[1:]}:\n'
        "    key, value = option.split('=')\n"
        '    value = DictAction._parse_int_float_bool(value)\n'
        '    cfg.merge_from_dict({key: value})\n'
        "cfg.work_dir = 'flat'\n"
        'Runner.from_cfg(cfg).train()\n'
    )
    run(
        sys.executable, '-c', code,
        cwd=weakclip.folder, PYTHONPATH=str(weakclip.site),
    )  # fmt: skip
    assert (weakclip.folder / 'flat/iter_2.pth').is_file()


def test_no_config_of_that_name(weakclip):
    done = subprocess.run(
        [sys.executable, weakclip.site / 'bin/weakclip', 'config', 'wekclip'],
        cwd=weakclip.folder,
        env={**os.environ, 'PYTHONPATH': str(weakclip.site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.count('\n') == 1
    assert 'cannot find the config wekclip' in done.stderr
