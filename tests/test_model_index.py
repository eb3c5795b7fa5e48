"""model-index.yml tells the truth about every config."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from mmengine.config import Config
from mmseg.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
COLLECTION = {'Name', 'Metadata', 'README', 'Code'}
MODEL = {'Name', 'In Collection', 'Config', 'Metadata', 'Results'}
METADATA = {'Architecture', 'Training Data', 'Batch Size', 'Iterations'}
RESULT = {'Task', 'Dataset', 'Metrics', 'Source', 'Origin'}
# Where a result stands in the tables of tools/make_tables.py.
PLACE = {'Setting', 'Tables'}
PUBLISHED = re.compile(
    r'paper(; .+)?|report|summaries of the papers?'
    r'|(README of|logs in) the published code'
    r"|issues? \d+( and \d+)? of (its|CLIMS's) repository"
)
LADDER = 'benchmarks/toyland.md, row '


@cache
def _entries(kind: str) -> list[dict[str, Any]]:
    """All collections or models, in the order of the index."""
    files = [yaml.safe_load((ROOT / path).read_text()) for path in INDEX]
    return [entry for file in files for entry in file.get(kind, [])]


def _configs() -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / 'configs').rglob('*.py')
        if '_base_' not in path.parts
    }


def _types(value: Any) -> set[str]:
    """The ``type`` of every dict in a nested config."""
    found = set()
    if isinstance(value, dict):
        if isinstance(value.get('type'), str):
            found.add(value['type'])
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        found = found.union(*map(_types, value))
    return found


def _is_ours(name: str) -> bool:
    part = MODELS.module_dict.get(name)
    return part is not None and part.__module__.startswith('mmseg_weakclip')


def _resolve(config: str) -> str:
    """What an alias, a config of nothing but a base, stands for."""
    text = (ROOT / config).read_text()
    match = re.fullmatch(r"_base_ = '(.+)'\s*", text)
    return match[1] if match else config


MODELS_LISTED = pytest.mark.parametrize(
    'model', _entries('Models'), ids=lambda model: model['Name']
)


def test_index_takes_the_metafile_of_every_folder():
    folders = {Path(config).parent for config in _configs()}
    folders.discard(Path('configs'))
    assert set(INDEX) == {str(folder / 'metafile.yml') for folder in folders}
    assert len(INDEX) == len(set(INDEX))
    for folder in folders:
        assert (ROOT / folder / 'README.md').is_file(), folder


def test_every_config_is_listed_once():
    listed = [model['Config'] for model in _entries('Models')]
    assert sorted(listed) == sorted(_configs())


def test_names_are_unique():
    for kind in ('Collections', 'Models'):
        names = [entry['Name'] for entry in _entries(kind)]
        assert len(names) == len(set(names)), kind


@pytest.mark.parametrize(
    'collection', _entries('Collections'), ids=lambda c: c['Name']
)
def test_collection(collection):
    assert set(collection) - {'Paper', 'Results'} == COLLECTION
    assert (ROOT / collection['README']).is_file()
    assert (ROOT / collection['Code']['URL']).exists()
    if paper := collection.get('Paper'):
        assert set(paper) == {'Title', 'URL'}
        assert paper['URL'].startswith('https://')
        # The title as it stands in the folder's README.
        readme = (ROOT / collection['README']).read_text().split()
        assert ' '.join(paper['Title'].split()) in ' '.join(readme)
        assert paper['URL'] in readme
    members = [
        model
        for model in _entries('Models')
        if model['In Collection'] == collection['Name']
    ]
    assert members


@MODELS_LISTED
def test_model(model):
    assert set(model) <= MODEL
    assert set(model) >= {'Name', 'In Collection', 'Config'}
    assert model['Name'] == Path(model['Config']).stem
    collections = {c['Name'] for c in _entries('Collections')}
    assert model['In Collection'] in collections


@MODELS_LISTED
def test_metadata_is_what_the_config_says(model):
    cfg = Config.fromfile(ROOT / model['Config'])
    metadata = model.get('Metadata', {})
    assert set(metadata) <= METADATA
    listed = metadata.get('Architecture', [])
    types = _types(cfg.get('model', {}))
    assert set(listed) <= types, 'not part of the config'
    for name in listed:
        assert name in MODELS.module_dict
    # Preprocessors say nothing about a model.
    own = {name for name in types - set(listed) if _is_ours(name)}
    assert own <= {'WeakSegDataPreProcessor'}, 'not listed'
    if 'Batch Size' in metadata:
        gpus = re.search(r'_(\d+)xb\d+-', _resolve(model['Config']))
        batch_size = cfg.train_dataloader.batch_size
        assert metadata['Batch Size'] == batch_size * int(
            gpus[1] if gpus else 1
        )
        assert metadata['Iterations'] == cfg.train_cfg.max_iters
        assert 'Training Data' in metadata


def _ladder_scores(row: str) -> list[float]:
    """mIoU, and after refinement where there is one."""
    for line in (ROOT / 'benchmarks/toyland.md').read_text().splitlines():
        cells = [cell.strip() for cell in line.split('|')][1:]
        if cells and cells[0] == row:
            return [
                float(cell.split()[0]) for cell in cells[2:4] if cell.strip()
            ]
    raise AssertionError(f'benchmarks/toyland.md has no row {row!r}')


def _ends(value: float | str) -> list[float]:
    """Return a figure, or both ends of one such as '77.1 to 77.5'."""
    if isinstance(value, str):
        low, high = map(float, value.split(' to '))
        assert low < high
        return [low, high]
    assert isinstance(value, float)
    return [value]


@pytest.mark.parametrize(
    'entry',
    [
        entry
        for kind in ('Models', 'Collections')
        for entry in _entries(kind)
        if 'Results' in entry
    ],
    ids=lambda entry: entry['Name'],
)
def test_results_have_a_source(entry):
    for result in entry['Results']:
        assert set(result) - PLACE == RESULT
        values = list(result['Metrics'].values())
        assert values
        for value in values:
            assert all(0 < end < 100 for end in _ends(value))
        # What was measured here is toyland's; all else is others'.
        if entry.get('Config', '').startswith('configs/toyland/'):
            assert result['Origin'] == 'measured here'
            row = result['Source'].removeprefix(LADDER)
            assert row != result['Source']
            assert values == _ladder_scores(row)
        else:
            assert result['Origin'] == 'published'
            assert PUBLISHED.fullmatch(result['Source']), result['Source']


def test_nothing_can_be_downloaded():
    for path in INDEX:
        assert 'Weights' not in (ROOT / path).read_text()
