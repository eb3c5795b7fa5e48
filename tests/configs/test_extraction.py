"""The configs of tools/extract_backgrounds.py, on data of their layout."""

import runpy
import sys

import pytest

from mmseg_weakclip.common.names import VOCABULARIES
from mmseg_weakclip.models.clims.background_cache import BackgroundCache

PLACES = {
    'clims/extract_voc12.py': ('voc', 'VOCdevkit/VOC2012'),
    'clims/extract_coco14.py': ('coco', 'coco14'),
    'toyland/extract_backgrounds.py': ('toyland', 'toyland'),
}


@pytest.mark.parametrize('name', PLACES)
def test_cache_is_written(name, device, data, configs, repo, monkeypatch):
    options = ['model=toyclip', 'pretrained=toyland', 'vocabulary=toyland']
    argv = [
        str(repo / 'tools/extract_backgrounds.py'),
        str(configs / name),
        '--cfg-options',
        'train_dataloader.num_workers=0',
        *(f'background_extractor.{option}' for option in options),
    ]
    monkeypatch.setattr(sys, 'argv', argv)
    runpy.run_path(argv[0], run_name='__main__')
    vocabulary, folder = PLACES[name]
    cache = BackgroundCache.load(data / folder / 'backgrounds.json')
    assert cache.classes == VOCABULARIES[vocabulary]
    assert len(cache) == 4
    assert any(cache.images.values())
