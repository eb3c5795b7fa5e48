from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


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
        'mmseg_weakclip.models.clip': ['*.json'],
        'mmseg_weakclip.models.clims': ['*.json'],
        'mmseg_weakclip.models.excel': ['descriptions/*.json'],
        'mmseg_weakclip.report': ['templates/*'],
        'mmseg_weakclip.toyland': ['*.json', '*.safetensors'],
    },
    install_requires=requirements('runtime'),
    extras_require={
        'crf': requirements('crf'),
        'docs': requirements('docs'),
        'excel': requirements('excel'),
        'export': requirements('export'),
        'report': requirements('report'),
        'segclip': requirements('segclip'),
        'tensorboard': requirements('tensorboard'),
        'tests': requirements('tests'),
    },
)
