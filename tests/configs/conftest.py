"""Every config in small: found by itself, shrunk, and given data.

The data have the layouts that the configs expect, below ``data/`` of the
working folder. There is no pixel truth among them.
"""

import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from mmseg_weakclip.datasets.coco import WeakCOCO14Dataset
from mmseg_weakclip.datasets.labels.image_labels import ImageLabels
from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.scenes import Scene, SceneStyle, make_scene

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
B16, B32 = 'ViT-B-16-quickgelu', 'ViT-B-32-quickgelu'
# What a training depends on; aliases and configs of masks repeat some.
TRAINING = [
    'train_cfg',
    'train_dataloader',
    'val_dataloader',
    'val_evaluator',
    'model',
    'optim_wrapper',
    'param_scheduler',
    'custom_hooks',
]
# Of an ablation, one will do; and of large segmenters, one of each kind.
REPEATS = re.compile(
    '_after-(8|11)|weclip_plus/.*'
    '(coco14|-[bl]14|320_(no-|clip-relation|dinov2-relation))|segmenters/.*'
    '(coco14|r101_4xb4|balanced|dinov2-b14|tuned|fpn_lite0)'
)
# Configs of COCO 2014, and their aliases.
COCO = re.compile(r'coco14|_coco\.py')
LISTS = 'ImageSets/Segmentation'
# Of 96 columns; not square, so that swapped sides show.
ROWS = 72


@cache
def _configs() -> dict[str, Config]:
    """All configs but the parts of others, by their path."""
    paths = sorted(CONFIGS.rglob('*.py'))
    return {
        str(path.relative_to(CONFIGS)): Config.fromfile(path)
        for path in paths
        if '_base_' not in path.parts
    }


def _writes_masks(cfg: Config) -> bool:
    return 'PseudoMaskWriter' in str(cfg.get('test_evaluator'))


def _distinct(keys: Sequence[str]) -> list[str]:
    """Configs that differ in these keys, one of each kind that has them."""
    kinds: dict[str, str] = {}
    for path, cfg in _configs().items():
        if cfg.get(keys[0]):
            content = str({key: cfg.get(key) for key in keys})
            kinds.setdefault(content, path)
    return list(kinds.values())


def _types(part: Any) -> frozenset[str]:
    """Types of a part and of all parts in it."""
    if isinstance(part, dict):
        own = {part['type']} if isinstance(part.get('type'), str) else set()
        return frozenset(own).union(*map(_types, part.values()))
    if isinstance(part, list | tuple):
        return frozenset().union(*map(_types, part))
    return frozenset()


def _steps(cfg: Config) -> frozenset[str]:
    """Steps of the writer of masks, such as its CRF, which have no types."""
    evaluator = cfg.get('test_evaluator') or {}
    return frozenset(key for key, value in evaluator.items() if value)


def _one_of_each(paths: Sequence[str], *keys: str) -> list[str]:
    """Configs with a combination of parts that none before them has.

    What runs depends on parts, not on numbers: of configs whose models, data
    and whatever else is named have the same parts as others, one will do.
    """
    seen: set[tuple[str, frozenset[str]]] = set()
    chosen = []
    for path in paths:
        cfg = _configs()[path]
        kinds = {(key, _types(cfg.get(key))) for key in keys}
        kinds.add(('steps', _steps(cfg)))
        if kinds - seen:
            chosen.append(path)
            seen |= kinds
    return chosen


def _with_new_parts() -> list[str]:
    """Configs whose models have a part that none before them has."""
    seen: set[str] = set()
    chosen = []
    for path, cfg in _configs().items():
        parts = _types(cfg.get('model'))
        if parts - seen:
            chosen.append(path)
            seen |= parts
    return chosen


def _training_configs() -> list[str]:
    """Configs that train, without those that repeat others in large."""
    return [path for path in _distinct(TRAINING) if not REPEATS.search(path)]


def _masks_configs() -> list[str]:
    """Configs that write masks, one of each kind."""
    paths = [
        path
        for path, cfg in _configs().items()
        # Aliases, which lie outside, would run the same again.
        if _writes_masks(cfg) and '/' in path
    ]
    return _one_of_each(paths, 'model', 'test_dataloader', 'tta_pipeline')


def _voc(paths: Sequence[str]) -> list[str]:
    """Without COCO's, which differ in the data alone."""
    return [path for path in paths if not COCO.search(path)]


def pytest_generate_tests(metafunc) -> None:
    """An argument of these names takes all such configs in turn."""
    chosen = dict(
        any_config=lambda: list(_configs()),
        training_config=lambda: _one_of_each(
            _training_configs(), 'model', 'train_dataloader'
        ),
        any_training_config=_training_configs,
        # What a part draws does not depend on the parts around it.
        new_parts_config=_with_new_parts,
        segmenter_config=lambda: [
            path for path in _configs() if path.startswith('segmenters/')
        ],
        masks_config=_masks_configs,
        views_config=lambda: [
            path
            for path in _masks_configs()
            if _configs()[path].get('tta_pipeline')
        ],
        voc_training_config=lambda: _one_of_each(
            _voc(_training_configs()), 'model'
        ),
        voc_masks_config=lambda: _voc(_masks_configs()),
    )
    for name in chosen.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(name, chosen[name]())


@pytest.fixture(scope='session')
def configs() -> Path:
    return CONFIGS


@pytest.fixture(scope='session')
def masks_folders() -> set[str]:
    """Where the configs of seeds and pseudo masks write."""
    return {
        f'{cfg.test_evaluator.output_dir}/masks'
        for cfg in _configs().values()
        if _writes_masks(cfg)
    }


@pytest.fixture(scope='session')
def thin_clip() -> str:
    """Name of an open_clip model that fits wherever ViT-B/16 does.

    Blocks, their width, patches and the shared space are the same; what is
    within a block or the text tower is thin.
    """
    path = Path(__file__).with_name('thin-b16.json')
    open_clip.add_model_config(path)
    return path.stem


def _replace(value: Any, change: Callable[[str, Any], Any], key='') -> Any:
    """Change the values of a nested config, each by its key."""
    if isinstance(value, dict):
        return {k: _replace(v, change, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_replace(v, change, key) for v in value)
    return change(key, value)


@pytest.fixture(scope='session')
def strip(thin_clip) -> Callable:
    """Take all pretrained values out of a config, and swap its CLIP.

    Banks of attributes belong to one CLIP, so they go with it; background
    texts found in images that are not here give way to a list.
    """

    def unwrap(value: Any) -> Any:
        if isinstance(value, dict):
            if value.get('type') == 'AttributeText':
                value = value['text']
            if value.get('type') == 'Pretrained':
                return None
            return {k: unwrap(v) for k, v in value.items()}
        return value

    def stripped(config: dict, clip: str = thin_clip) -> dict:
        def change(key: str, value: Any) -> Any:
            if key == 'pretrained':
                return None
            if key == 'source' and str(value).endswith('.json'):
                return ['sky', 'grass']
            # Nothing but its own texts has to fit a critic of regions.
            return {B16: clip, B32: 'toyclip'}.get(value, value)

        return _replace(unwrap(config), change)

    return stripped


def _narrow(key: str, value: Any) -> Any:
    """Large images and crops by eight; of all shards the first."""
    if key == 'shards':
        return re.sub(r'\{(\d+)\.\.\d+\}', r'\1', value)
    sides = key in ('size', 'crop_size', 'scale', 'stride')
    return value // 8 if sides and value >= 256 else value


@pytest.fixture
def load_small(data, strip) -> Callable[..., Config]:
    """A config by its path, ready to run: two iterations and a validation,
    or, with ``once``, one iteration. Further arguments are strip's."""

    def load(name: str, once: bool = False, **kwargs) -> Config:
        cfg = strip(Config.fromfile(CONFIGS / name).to_dict(), **kwargs)
        cfg = Config(_replace(cfg, _narrow))
        cfg.work_dir = str(data.parent / 'work')
        cfg.experiment_name = data.parent.name
        cfg.default_hooks.checkpoint = cfg.load_from = None
        for split in ('train', 'val', 'test'):
            if loader := cfg.get(f'{split}_dataloader'):
                loader.update(
                    batch_size=min(loader.batch_size, 2),
                    num_workers=0,
                    persistent_workers=False,
                )
        if once:
            cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        elif cfg.get('train_cfg'):
            cfg.train_cfg.update(max_iters=2, val_interval=2)
        if _writes_masks(cfg):
            cfg.test_evaluator.workers = 0
        return cfg

    return load


class Witness(Hook):
    """Sees what a training does."""

    def __init__(self) -> None:
        self.losses: list[dict] = []
        self.scores: list[dict] = []
        self.with_gradient: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        optimizer = runner.optim_wrapper.optimizer
        optimizer.register_step_pre_hook(lambda *_: self._look(runner.model))

    def _look(self, model) -> None:
        self.with_gradient.update(
            name
            for name, parameter in model.named_parameters()
            if parameter.grad is not None
        )

    def after_train_iter(self, runner, batch_idx, data_batch, outputs) -> None:
        self.losses.append(outputs)

    def after_val_epoch(self, runner, metrics) -> None:
        self.scores.append(metrics)


@pytest.fixture
def train() -> Callable[[Config], tuple[Runner, Witness]]:
    """Train as tools/train.py does."""

    def run(cfg: Config) -> tuple[Runner, Witness]:
        runner, witness = Runner.from_cfg(cfg), Witness()
        runner.register_hook(witness)
        runner.train()
        return runner, witness

    return run


@pytest.fixture
def make_masks(load_small, load_tool, data) -> Callable:
    """Run a config's test loop; the runner, masks by image id, scores."""

    def run(name, tta=False):
        cfg = load_small(name)
        # Larger views are more of the same.
        for step in cfg.get('tta_pipeline') or ():
            if step.type == 'TestTimeAug':
                step.transforms[0] = step.transforms[0][:2]
        if tta:
            load_tool('test.py').use_tta(cfg)
        cfg.test_dataloader.dataset.indices = 2
        runner = Runner.from_cfg(cfg)
        scores = runner.test()
        folder = Path(cfg.test_evaluator.output_dir, 'masks')
        masks = {
            path.stem: np.asarray(Image.open(path))
            for path in folder.iterdir()
        }
        return runner, masks, scores

    # No mask shall be there before it is written.
    for folder in data.rglob('seeds'):
        shutil.move(folder, folder.with_name('spare'))
    for folder in list(data.rglob('weakclip')):
        shutil.rmtree(folder)
    return run


@pytest.fixture
def data(tmp_path, monkeypatch, worlds) -> Path:
    """The folder ``data`` of a working folder of its own."""
    shutil.copytree(worlds, tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'data'


@pytest.fixture(scope='session')
def worlds(tmp_path_factory) -> Path:
    """Toyland's scenes as VOC, as COCO and as themselves."""
    root = tmp_path_factory.mktemp('worlds')
    scenes = [make_scene(0, index, 96) for index in range(6)]
    voc = PascalVOCDataset.METAINFO['classes']
    ids = [f'2007_{i:06d}' for i in range(6)]
    splits = dict(train=ids[:2], trainaug=ids[:4], val=ids[4:])
    _write(root / 'VOCdevkit/VOC2012', dict(zip(ids, scenes)), splits, voc)
    # Two of the classes are not among the six that count.
    animals = ('background', 'cat', 'cow', 'dog', 'horse', 'person', 'sheep')
    _write(
        root / 'VOC_animals',
        dict(zip(ids, scenes)),
        splits,
        (*animals, 'sofa', 'car'),
    )
    _write_photos(root / 'photos', scenes)
    own = ('background', *CLASSES)
    splits = dict(train=ids[:4], val=ids[4:])
    _write(root / 'toyland', dict(zip(ids, scenes)), splits, own)
    coco = WeakCOCO14Dataset.METAINFO['classes']
    ids = [f'{i:012d}' for i in range(6)]
    splits = dict(train=ids[:4], val_5000=ids[4:])
    # Some images of COCO show no object.
    scenes[0] = make_scene(0, 0, 96, SceneStyle(counts=(1.0,)))
    # From 9 on, 12 among them: ids that fit one encoding only.
    _write(root / 'coco14', dict(zip(ids, scenes)), splits, coco, shift=8)
    shutil.move(root / 'coco14/JPEGImages', root / 'coco14/images')
    for path in (root / 'coco14' / LISTS).iterdir():
        shutil.move(path, root / 'coco14')
    for world in ('VOCdevkit/VOC2012', 'toyland', 'coco14'):
        shutil.copytree(root / world / 'seeds', root / world / 'weakclip')
    _write_captions(root)
    return root


def _write_photos(root: Path, scenes: Sequence[Scene]) -> None:
    """Photos and their tags, as `weakclip run` has them: cats and dogs."""
    (root / 'images').mkdir(parents=True)
    names = [f'photo_{index}' for index in range(len(scenes))]
    for name, scene in zip(names, scenes):
        Image.fromarray(scene.image[:ROWS]).save(root / f'images/{name}.jpg')
    (root / 'train.txt').write_text('\n'.join(names) + '\n')
    labels = {name: (index % 2,) for index, name in enumerate(names)}
    ImageLabels(('cat', 'dog'), labels, '').save(root / 'image_labels.json')


def _write_captions(root: Path) -> None:
    """The same scenes with captions: toyland's, COCO's as Karpathy splits
    them, and CC3M's, of which one could not be fetched."""
    texts = {
        path.stem: [f'a photo of {path.stem}', 'a scene']
        for path in sorted((root / 'toyland/JPEGImages').iterdir())
    }
    (root / 'toyland/captions.json').write_text(json.dumps(texts))
    shutil.copytree(root / 'toyland/JPEGImages', root / 'coco/train2014')
    images = [
        dict(
            filepath='train2014',
            filename=f'{name}.jpg',
            split='train' if index < 4 else 'val',
            sentences=[dict(raw=text) for text in captions],
        )
        for index, (name, captions) in enumerate(texts.items())
    ]
    (root / 'coco/annotations').mkdir()
    (root / 'coco/annotations/dataset_coco.json').write_text(
        json.dumps(dict(dataset='coco', images=images))
    )
    folder = root / 'cc3m/images/00000'
    folder.mkdir(parents=True)
    rows = []
    for row, name in enumerate(texts):
        if row != 2:
            shutil.copy(
                root / f'toyland/JPEGImages/{name}.jpg',
                folder / f'{row:09d}.jpg',
            )
        rows.append(f'{name} from the web\thttps://example.org/{name}')
    (root / 'cc3m/Train_GCC-training.tsv').write_text('\n'.join(rows) + '\n')
    for shards in ('cc3m_shards', 'coco_shards'):
        _write_shard(root / shards / '00000.tar', folder)


def _write_shard(path: Path, images: Path) -> None:
    """Images of a folder, each with a caption."""
    path.parent.mkdir()
    with tarfile.open(path, 'w') as shard:
        for image in sorted(images.iterdir()):
            shard.add(image, image.name)
            text = tarfile.TarInfo(f'{image.stem}.txt')
            text.size = len(b'a scene')
            shard.addfile(text, io.BytesIO(b'a scene'))


def _write(
    root: Path,
    scenes: dict[str, Scene],
    splits: dict[str, Sequence[str]],
    classes: Sequence[str],
    shift: int = 0,
) -> None:
    """Images, seeds, image labels and lists in VOC's layout."""
    for folder in ('JPEGImages', 'seeds/masks', LISTS):
        (root / folder).mkdir(parents=True)
    labels = {}
    for name, scene in scenes.items():
        image = Image.fromarray(scene.image[:ROWS])
        image.save(root / f'JPEGImages/{name}.jpg')
        mask = scene.mask[:ROWS]
        mask = np.where(mask > 0, mask + shift, 0).astype(np.uint8)
        Image.fromarray(mask).save(root / f'seeds/masks/{name}.png')
        labels[name] = tuple((np.unique(mask[mask > 0]) - 1).tolist())
    ImageLabels(tuple(classes[1:]), labels, '').save(
        root / 'image_labels.json'
    )
    for split, ids in splits.items():
        (root / f'{LISTS}/{split}.txt').write_text('\n'.join(ids) + '\n')
