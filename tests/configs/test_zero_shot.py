"""Every config of a zero-shot benchmark scores images it has never seen."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_weakclip.common.region_files import Regions, write_regions
from mmseg_weakclip.models.cam.patch_text import PatchTextHead
from mmseg_weakclip.models.clip.vocabulary import word_tables

# Ids as they stand in the files: the first class, the last, no class.
IDS = {
    'voc21': (0, 20, 255),
    'voc20': (1, 20, 0),
    'context60': (0, 59, 255),
    'context59': (1, 59, 0),
    'coco-object': (170, 79, 255),
    'coco-stuff': (0, 170, 255),
    'ade20k': (1, 150, 0),
    'cityscapes': (0, 18, 255),
}
NACLIP = ('voc21', 'voc20', 'coco-object', 'coco-stuff')
SCLIP_CONFIGS = [f'patch-text_vit-b16_{name}.py' for name in IDS]
NACLIP_CONFIGS = [f'naclip_vit-b16_{name}.py' for name in NACLIP]
BENCHMARKS = [*SCLIP_CONFIGS, *NACLIP_CONFIGS]


def test_all_are_tested(configs):
    paths = {path.name for path in (configs / 'zero_shot').glob('*.py')}
    assert paths == set(BENCHMARKS)


@pytest.fixture
def benchmark(request, load_small, tmp_path):
    """A config, and two images of its data set in its own layout."""
    name = request.param
    cfg = load_small(f'zero_shot/{name}')
    cfg.model.decode_head.text.templates = 'a photo of a {}.'
    dataset = cfg.test_dataloader.dataset
    root = tmp_path / dataset.data_root
    for folder in dataset.data_prefix.values():
        (root / folder).mkdir(parents=True, exist_ok=True)
    bare = DATASETS.build({**dataset, 'lazy_init': True, 'pipeline': []})
    ids = IDS[name.removesuffix('.py').rpartition('_')[2]]
    rng = np.random.default_rng(0)
    for index in range(2):
        image = rng.integers(0, 256, (60, 90, 3), np.uint8)
        mask = np.full((60, 90), ids[0], np.uint8)
        mask[20:40] = ids[1]
        mask[40:] = ids[2]
        for array, folder, suffix in (
            (image, dataset.data_prefix.img_path, bare.img_suffix),
            (mask, dataset.data_prefix.seg_map_path, bare.seg_map_suffix),
        ):
            path = root / folder / f'scene_{index}{suffix}'
            Image.fromarray(array).save(path)
    if dataset.get('ann_file'):
        path = root / dataset.ann_file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('scene_0\nscene_1\n')
    return cfg


@pytest.mark.parametrize('benchmark', BENCHMARKS, indirect=True)
def test_scores(benchmark, device):
    cfg = benchmark
    runner = Runner.from_cfg(cfg)
    scores = runner.test()
    assert next(runner.model.buffers()).device.type == device.type
    assert 0 <= scores['mIoU'] <= 100
    dataset = runner.test_dataloader.dataset
    assert len(dataset) == 2
    classes = dataset.metainfo['classes']
    assert cfg.model.decode_head.num_classes == len(classes)
    # The first third and the second have the first and the last class (the
    # only object, where background comes first), the rest none.
    truth = dataset[0]['data_samples'].gt_sem_seg.data[0].numpy()
    first, second, last = truth[5, 5], truth[30, 5], truth[50, 5]
    assert (first, second, last) == (0, len(classes) - 1, 255)


@pytest.mark.parametrize(
    'benchmark', ['patch-text_vit-b16_voc20.py'], indirect=True
)
def test_options_of_the_command_line(benchmark, tmp_path):
    """Refinement, joint windows and regions, on top of any path."""
    root = tmp_path / benchmark.test_dataloader.dataset.data_root
    (tmp_path / 'regions').mkdir()
    left = np.zeros((60, 90), bool)
    left[:, :45] = True
    for index in range(2):
        write_regions(
            tmp_path / f'regions/scene_{index}.json',
            Regions.of_masks([left, ~left], (60, 90)),
            root / f'JPEGImages/scene_{index}.jpg',
            'by hand',
        )
    benchmark.merge_from_dict(
        {
            'model.backbone.dense': 'naclip',
            'model.windows': 'joint',
            'model.refine.type': 'PAMR',
            'model.regions.folder': str(tmp_path / 'regions'),
        }
    )
    runner = Runner.from_cfg(benchmark)
    assert 0 <= runner.test()['mIoU'] <= 100
    assert runner.model.windows == 'joint'
    assert len(runner.model.refine) == 1


def test_tables_of_words_speak_of_real_classes():
    """A key that no data set has would be a slip of the pen."""
    names = {
        name
        for dataset in (
            'PascalVOCDataset',
            'PascalContextDataset',
            'COCOObjectDataset',
            'COCOStuffDataset',
            'ADE20KDataset',
            'CityscapesDataset',
        )
        for name in DATASETS.get(dataset).METAINFO['classes']
    }
    for table, entries in word_tables('aliases').items():
        assert set(entries) <= names, table


@pytest.mark.parametrize(
    ('aliases', 'words', 'dataset'),
    [
        ('voc', 'voc', 'PascalVOCDataset'),
        ('coco', 'coco', 'COCOObjectDataset'),
    ],
)
def test_background_words_name_no_class(aliases, words, dataset):
    table = word_tables('aliases')[aliases]
    spoken = {
        word
        for name in DATASETS.get(dataset).METAINFO['classes']
        for word in table.get(name, (name,))
    }
    assert not spoken & set(word_tables('background_words')[words])


def test_one_preset_a_file(configs):
    for name in SCLIP_CONFIGS:
        text = Path(configs / 'zero_shot' / name).read_text()
        assert text.count("dense='sclip'") == 1
        cfg = Config.fromfile(configs / 'zero_shot' / name)
        assert cfg.model.test_cfg == dict(
            mode='slide',
            crop_size=(224, 224),
            stride=(112, 112),
            batch_pixels=2**20,
        )


def _values(configs, name) -> tuple:
    """Scale, threshold, short side, mode and position mode of a config."""
    cfg = Config.fromfile(configs / 'zero_shot' / name)
    head, backbone = cfg.model.decode_head, cfg.model.backbone
    (resize,) = (
        step
        for step in cfg.test_dataloader.dataset.pipeline
        if step.type == 'Resize'
    )
    return (
        backbone.dense,
        head.get('logit_scale', 40),
        head.get('threshold'),
        resize.scale[1],
        cfg.model.test_cfg.mode,
        backbone.get('position_mode', 'bilinear'),
    )


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('patch-text_vit-b16_voc21', ('sclip', 65, 0.1, 336)),
        ('patch-text_vit-b16_voc20', ('sclip', 40, None, 336)),
        ('patch-text_vit-b16_context60', ('sclip', 40, 0.1, 336)),
        ('patch-text_vit-b16_cityscapes', ('sclip', 40, None, 560)),
        ('naclip_vit-b16_coco-object', ('naclip', 40, 0.1, 336)),
        ('naclip_vit-b16_coco-stuff', ('naclip', 40, None, 448)),
    ],
)
def test_published_values_in_windows(configs, name, expected):
    found = _values(configs, f'{name}.py')
    # In windows of 224 the position embedding is used as it is.
    assert found == (*expected, 'slide', 'bilinear')


@pytest.mark.parametrize(
    ('name', 'threshold'), [('voc21', 0.1), ('voc20', None)]
)
def test_published_values_of_whole_images(configs, name, threshold):
    found = _values(configs, f'naclip_vit-b16_{name}.py')
    expected = ('naclip', 40, threshold, 336, 'whole', 'bicubic-offset')
    assert found == expected


def test_default_scale_of_the_head():
    """What configs without a value have."""
    parameters = inspect.signature(PatchTextHead.__init__).parameters
    assert parameters['logit_scale'].default == 40
