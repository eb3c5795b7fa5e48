"""Configs of the stages that use CLIP, made of a base config and a run."""

import os
from typing import Any

from mmengine.config import Config

from mmseg_weakclip.apps.run_folder.schema import TAGS

from .affinity import set_affinity
from .backbone import set_backbone
from .config_edits import (
    TEST_KEYS,
    TRAIN_KEYS,
    drop_transforms,
    fit_to_clip,
    only_keys,
    rescale_schedule,
    set_classes,
    set_clip,
    set_names,
    set_short_side,
)
from .inputs.classes import ClassInfo
from .options import CLASSIFIERS, RANDOM
from .run import Run

# Stride of stored class maps: pixels per value, along each side.
SCORE_STRIDE = 2
TRUTH = ('LoadTruthIfPresent',)
# List of the images with a labelled pixel, beside masks that have open ones.
TRAIN_LIST = 'train.txt'
# Confidence of another tool's labels before the CRF: that of IRN's labels.
CONFIDENCE = 0.7


def load_base(run: Run, name: str) -> Config:
    """Return a config that the profile names, before any edit."""
    return Config.fromfile(run.root / 'configs' / run.profile.bases[name])


def crf_settings(run: Run) -> str | dict[str, Any] | None:
    """Return the dense CRF's parameters; None for none."""
    if run.options.crf == 'none':
        return None
    return run.options.crf or run.profile.crf


def background_prompts(run: Run) -> list[str]:
    """Return the user's background words, or scenery without the classes."""
    if run.classes.background is not None:
        return list(run.classes.background)
    from mmseg_weakclip.models.clip.vocabulary import resolve_names

    taken = {
        word.casefold()
        for info in run.classes.classes
        for name in (info.name, *info.prompts)
        for word in (name, f'{name}s', name.removesuffix('s'))
    }
    return [
        word
        for (word,) in resolve_names('voc')
        if word.casefold() not in taken
    ]


def has_custom_prompts(info: ClassInfo) -> bool:
    """Return whether the user chose prompts other than the name."""
    return info.prompts != (info.name,)


def set_model(cfg: Config, run: Run) -> None:
    """Set the user's classes, their names, CLIP and backbone in a model."""
    options = run.options
    set_backbone(cfg, options)
    set_classes(cfg.model, run.num_classes)
    set_names(
        cfg.model,
        [info.prompts for info in run.classes.classes],
        background_prompts(run),
        own_words=any(map(has_custom_prompts, run.classes.classes)),
    )
    if options.clip is not None:
        weights = options.clip_weights
        set_clip(
            cfg.model, options.clip, None if weights == RANDOM else weights
        )


def iterations_of(run: Run, kind: str) -> int:
    """Return the number of iterations of a training of the method."""
    if run.options.method_iterations is not None:
        return run.options.method_iterations
    cfg = load_base(run, kind)
    length = cfg.get('run_length')
    if length is None:
        return cfg.train_cfg.max_iters
    batch = run.options.batch_size or cfg.train_dataloader.batch_size
    passes = length.passes * run.number('train') // (batch * max(1, run.gpus))
    return max(length.least, min(length.most, passes))


def seeds_config(run: Run, kind: str) -> Config:
    """Return the config that stores class maps of all labelled images.

    Args:
        run: Run of the stage.
        kind: Maker of the maps: ``'excel'``, ``'clipes'``, ``'clims'`` or
            ``'cam'``.
    """
    cfg = load_base(run, kind)
    set_model(cfg, run)
    set_affinity(cfg, run.options)
    test = drop_transforms(cfg.test_dataloader.dataset.pipeline, TRUTH)
    tta = drop_transforms(cfg.tta_pipeline, TRUTH)
    if run.options.clip_size is not None and kind not in CLASSIFIERS:
        set_short_side(test, run.options.clip_size)
        set_short_side(tta, run.options.clip_size)
    cfg.test_dataloader.dataset = describe_images(
        run, 'labelled', test_mode=True, pipeline=test
    )
    cfg.tta_pipeline = tta
    set_test_batch(cfg.test_dataloader, run)
    cfg.test_evaluator = dict(
        type='PseudoMaskWriter',
        output_dir=str(run.folder / 'seeds'),
        activation='none',
        use_labels=True,
        score_stride=SCORE_STRIDE,
        workers=0,
    )
    set_machine(cfg, run)
    return only_keys(cfg, TEST_KEYS)


def refine_config(run: Run, kind: str) -> Config:
    """Return the config for the refinement of stored class maps.

    Args:
        run: Run of the stage.
        kind: Maker of the maps; see :func:`seeds_config`.
    """
    model = load_base(run, kind).model
    head = model.decode_head
    background = head.get('background') or dict(threshold=0.15)
    return Config(
        dict(
            default_scope='mmseg',
            refine=dict(
                background=background, par=None, crf=crf_settings(run)
            ),
            test_dataloader=dict(
                dataset=describe_images(
                    run, 'labelled', test_mode=True, pipeline=[]
                )
            ),
        )
    )


def label_refine_config(run: Run) -> Config:
    """Return the config for the refinement of another tool's masks."""
    return Config(
        dict(
            default_scope='mmseg',
            refine=dict(
                labels=dict(confidence=CONFIDENCE),
                par=None,
                crf=crf_settings(run),
                # An open pixel that gets a label is as sure as a label was.
                min_score=CONFIDENCE,
            ),
            test_dataloader=dict(
                dataset=describe_images(
                    run, 'labelled', test_mode=True, pipeline=[]
                )
            ),
        )
    )


def listed_beside(run: Run, folder: str) -> dict[str, str]:
    """Return the argument of a data set that trains on masks with open pixels.

    Args:
        run: Run of the stage.
        folder: Folder of the masks, relative to the run's.
    """
    return dict(ann_file=str(run.folder / folder / TRAIN_LIST))


def training_config(run: Run, kind: str, masks: str | None) -> Config:
    """Return the config of a training of the method.

    Args:
        run: Run of the stage.
        kind: Model to train: ``'classifier'``, ``'clims'``, ``'cam'`` or
            ``'weakclip'``.
        masks: Folder, relative to the run's, of the masks to train on, or
            None.
    """
    cfg = load_base(run, kind)
    set_model(cfg, run)
    if kind == 'weakclip' and run.options.clip is not None:
        fit_to_clip(cfg.model, run.options.clip)
    settings: dict[str, Any] = dict(
        pipeline=cfg.train_dataloader.dataset.pipeline
    )
    if masks is not None:
        settings['data_prefix'] = dict(
            img_path='images', seg_map_path=str(run.folder / masks / 'masks')
        )
        if run.options.joins:
            settings.update(listed_beside(run, masks))
    if kind == 'cam':
        # The others judge it; see tags_config.
        settings['part'] = 'fit'
    cfg.train_dataloader.dataset = describe_images(run, 'train', **settings)
    cfg.train_cfg.pop('val_interval', None)
    cfg.pop('load_from', None)
    if kind == 'clims':
        start = iterations_of(run, 'classifier')
        cfg.load_from = str(run.folder / 'classifier' / f'iter_{start}.pth')
    if run.options.batch_size is not None:
        cfg.train_dataloader.batch_size = run.options.batch_size
    rescale_schedule(cfg, iterations_of(run, kind))
    cfg.work_dir = str(run.folder / kind)
    set_machine(cfg, run)
    return only_keys(cfg, TRAIN_KEYS)


def tags_config(run: Run) -> Config:
    """Return the config that judges the classifier on held-out tags."""
    cfg = load_base(run, 'cam')
    set_model(cfg, run)
    cfg.model.decode_head.predicts = 'tags'
    cfg.test_dataloader.dataset = describe_images(
        run,
        'train',
        test_mode=True,
        part='held_out',
        pipeline=drop_transforms(cfg.test_dataloader.dataset.pipeline, TRUTH),
    )
    set_test_batch(cfg.test_dataloader, run)
    cfg.test_evaluator = dict(
        type='TagPrecision', out_file=str(run.folder / TAGS)
    )
    cfg.pop('tta_pipeline', None)
    cfg.pop('tta_model', None)
    set_machine(cfg, run)
    return only_keys(cfg, TEST_KEYS)


def weakclip_masks_config(run: Run) -> Config:
    """Return the config for WeakCLIP's masks of all labelled images."""
    cfg = load_base(run, 'masks')
    set_model(cfg, run)
    if run.options.clip is not None:
        fit_to_clip(cfg.model, run.options.clip)
    cfg.test_dataloader.dataset = describe_images(
        run,
        'labelled',
        test_mode=True,
        pipeline=drop_transforms(cfg.test_dataloader.dataset.pipeline, TRUTH),
    )
    cfg.tta_pipeline = drop_transforms(cfg.tta_pipeline, TRUTH)
    set_test_batch(cfg.test_dataloader, run)
    cfg.test_evaluator = dict(
        type='PseudoMaskWriter',
        output_dir=str(run.folder / 'masks'),
        crf=crf_settings(run),
        use_labels=True,
        workers=None if run.gpus else os.cpu_count(),
    )
    set_machine(cfg, run)
    return only_keys(cfg, TEST_KEYS)


def describe_images(run: Run, split: str, **settings: Any) -> dict[str, Any]:
    """Return the data set config of one list of images.

    Args:
        run: Run of the stage.
        split: Name of the list in ``data/``, without its suffix.
        settings: More arguments of ``WeakSegDataset``.
    """
    return dict(
        type='WeakSegDataset',
        data_root=str(run.data),
        metainfo=dict(
            classes=list(run.classes.names), palette=run.classes.palette
        ),
        **{
            'ann_file': f'{split}.txt',
            'data_prefix': dict(img_path='images'),
            **settings,
        },
    )


def set_machine(cfg: Config, run: Run) -> None:
    """Set the workers of the loaders, and the seed of all random numbers."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader:
            loader.num_workers = min(loader.num_workers, run.workers)
            loader.persistent_workers = loader.num_workers > 0
    cfg.randomness = dict(seed=run.options.seed)


def set_test_batch(loader: dict[str, Any], run: Run) -> None:
    """Let a batch have whole images of one size only."""
    if len({image.size for image in run.images}) > 1:
        loader['batch_sampler'] = dict(type='SameSizeBatchSampler')
