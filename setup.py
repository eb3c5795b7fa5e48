"""Package the parts, the command ``weakclip``, and configs and tools."""

import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# What mmseg's plugins carry in <package>/.mim: mmengine looks for configs of
# `_base_ = 'mmseg_weakclip::folder/name.py'` there.
CARRIED = ('configs', 'tools', 'model-index.yml')
UNWANTED = shutil.ignore_patterns('__pycache__', '*.pyc')


class BuildWithConfigs(build_py):
    """Copy configs and tools into the package, or link them in a checkout."""

    def run(self) -> None:
        super().run()
        if getattr(self, 'editable_mode', False):
            folder = ROOT / 'mmseg_weakclip/.mim'
            folder.mkdir(exist_ok=True)
            for name in CARRIED:
                link = folder / name
                if link.is_symlink():
                    link.unlink()
                os.symlink(Path('../..') / name, link)
            return
        folder = Path(self.build_lib) / 'mmseg_weakclip/.mim'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in CARRIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=UNWANTED)
            else:
                shutil.copy(source, folder / name)


def requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


version: dict[str, str] = {}
exec((ROOT / 'mmseg_weakclip/version.py').read_text(), version)

setup(
    name='mmseg_weakclip',
    version=version['__version__'],
    description='Weakly supervised segmentation with CLIP for mmsegmentation',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['mmseg_weakclip', 'mmseg_weakclip.*']),
    package_data={
        'mmseg_weakclip.apps.compare': ['templates/*'],
        'mmseg_weakclip.apps.report': ['templates/*'],
        'mmseg_weakclip.models.clims': ['*.json'],
        'mmseg_weakclip.models.clip': ['*.json'],
        'mmseg_weakclip.models.excel': ['descriptions/*.json'],
        'mmseg_weakclip.toyland': ['*.json', '*.safetensors'],
    },
    entry_points={
        'console_scripts': ['weakclip = mmseg_weakclip.apps.cli:main'],
    },
    cmdclass={'build_py': BuildWithConfigs},
    install_requires=requirements('runtime'),
    extras_require={
        'crf': requirements('crf'),
        'docs': requirements('docs'),
        'excel': requirements('excel'),
        'export': requirements('export'),
        'heic': requirements('heic'),
        'hf': requirements('hf'),
        'photos': requirements('photos'),
        'report': requirements('report'),
        'sam': requirements('sam'),
        'segclip': requirements('segclip'),
        'tensorboard': requirements('tensorboard'),
        'tests': requirements('tests'),
    },
)
