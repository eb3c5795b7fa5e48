"""Configs of the last training: a segmenter on the run's pseudo masks."""

import statistics
from typing import Any

from mmengine.config import Config

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.weights import replace_weights, starting_weights
from mmseg_weakclip.engine.batch_norm import check_batch_norm

from .config_edits import (
    TEST_KEYS,
    TRAIN_KEYS,
    VAL_KEYS,
    only_keys,
    rescale_schedule,
    set_classes,
)
from .method_configs import (
    describe_images,
    listed_beside,
    set_machine,
    set_test_batch,
)
from .options import SEEDS, SEGMENTERS, TIMM
from .run import Run

# Sides of training crops, in pixels.
SMALLEST_CROP, LARGEST_CROP = 64, 512
# They are multiples of this, or of what a config says: whole patches.
CROP_STEP = 32
# Smaller images are enlarged to this short side, since networks reduce images
# by 4 or more and would lose small objects. Crops stay small.
SMALLEST_SIDE = 160
# A published schedule is shortened to this many passes over the images.
MAX_PASSES = 40
LEAST_ITERATIONS = 1600
# Scales of the views of a test with several, each as it is and flipped.
VIEW_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
PACK = dict(
    type='PackSegInputs',
    meta_keys=(
        'img_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor',
        'flip', 'flip_direction'),
)  # fmt: skip


def load_segmenter(run: Run) -> Config:
    """Return the config of the segmenter that the user chose."""
    name = SEGMENTERS[run.options.segmenter]
    return Config.fromfile(run.root / 'configs/segmenters' / f'{name}.py')


def crop_side(run: Run) -> int:
    """Return the side of training crops: the images' median short side."""
    if run.options.segmenter_size is not None:
        return run.options.segmenter_size
    short = statistics.median(min(image.size) for image in run.images)
    side = max(SMALLEST_CROP, min(LARGEST_CROP, short))
    step = load_segmenter(run).get('crop_step', CROP_STEP)
    return round(side / step) * step


def image_side(run: Run) -> int:
    """Return the short side of images before random scaling."""
    if run.options.segmenter_size is not None:
        return run.options.segmenter_size
    return max(SMALLEST_SIDE, crop_side(run))


def segmenter_iterations(run: Run, cfg: Config) -> int:
    """Return the number of iterations: published, or MAX_PASSES if fewer."""
    if run.options.iterations is not None:
        return run.options.iterations
    batch = run.options.batch_size or cfg.train_dataloader.batch_size
    passes = MAX_PASSES * run.number('train') // (batch * max(1, run.gpus))
    return min(cfg.train_cfg.max_iters, max(LEAST_ITERATIONS, passes))


def train_pipeline(crop: int, side: int) -> list[dict[str, Any]]:
    """Return training transforms that do not depend on the masks' content.

    Args:
        crop: Side of the crops, in pixels.
        side: Short side of the images, in pixels.
    """
    # Limit random scaling of images that are enlarged already.
    largest = max(1.75 * crop, 1.25 * side) / side
    return [
        dict(type='LoadColorImage'),
        dict(type='LoadSeed'),
        dict(
            type='RandomResize',
            scale=(8 * side, side),
            ratio_range=(0.75, largest),
            keep_ratio=True,
        ),
        dict(type='RandomCrop', crop_size=(crop, crop), cat_max_ratio=1.0),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='PackSegInputs'),
    ]


def test_pipeline(side: int, *, truth: bool) -> list[dict[str, Any]]:
    """Return test transforms: resize to the training size, load the mask."""
    pipeline: list[dict[str, Any]] = [
        dict(type='LoadColorImage'),
        dict(type='Resize', scale=(8 * side, side), keep_ratio=True),
    ]
    if truth:
        pipeline.append(dict(type='LoadTruthIfPresent'))
    return [*pipeline, PACK]


def views_pipeline(side: int) -> list[dict[str, Any]]:
    """Return test transforms of several scales, each flipped as well."""
    sizes = [round(side * scale) for scale in VIEW_SCALES]
    steps: list[list[dict[str, Any]]] = [
        [
            dict(type='Resize', scale=(8 * size, size), keep_ratio=True)
            for size in sizes
        ],
        [
            dict(type='RandomFlip', prob=prob, direction='horizontal')
            for prob in (0.0, 1.0)
        ],
        [dict(type='LoadTruthIfPresent')],
        [PACK],
    ]
    return [
        dict(type='LoadColorImage'),
        dict(type='TestTimeAug', transforms=steps),
    ]


def check_segmenter(run: Run) -> None:
    """Check that the segmenter can be trained as the user asks.

    Raises:
        UserError: It would fail in its first iteration.
    """
    cfg = load_segmenter(run)
    sources = set(starting_weights(cfg.model))
    if run.options.segmenter_weights == TIMM and not any(
        source.startswith(f'{TIMM}:') for source in sources
    ):
        raise UserError(
            f'--segmenter-weights {TIMM}: {run.options.segmenter} does not '
            f"start from timm's weights, but from "
            f'{", ".join(sorted(sources)) or "random ones"}; leave it out'
        )
    batch = run.options.batch_size or cfg.train_dataloader.batch_size
    try:
        check_batch_norm(cfg.model, batch, max(1, run.gpus))
    except ValueError as error:
        raise UserError(
            f'--segmenter {run.options.segmenter}, --batch-size {batch}: '
            f'{error}'
        ) from error


def folder_with_open_pixels(run: Run) -> str:
    """Return the folder that lists the images to train on; '' for all.

    Masks of another tool leave pixels open, and some images have no other.
    WeakCLIP's masks have a label for each pixel of all images.
    """
    if run.options.method == SEEDS:
        return 'seeds'
    is_last = run.options.joins and 'weakclip' not in run.options.method
    return 'masks' if is_last else ''


def segmenter_config(run: Run) -> Config:
    """Return the training config, with validation and test if val has truth.

    The test is that of ``weakclip test``, also with ``--tta`` or
    ``--protocol``; the training does not look at it.
    """
    cfg = load_segmenter(run)
    _fit_model(cfg, run)
    folder = folder_with_open_pixels(run)
    cfg.train_dataloader.dataset = describe_images(
        run,
        'train',
        **(listed_beside(run, folder) if folder else {}),
        data_prefix=dict(
            img_path='images', seg_map_path=str(run.folder / 'masks/masks')
        ),
        pipeline=train_pipeline(crop_side(run), image_side(run)),
    )
    cfg.train_dataloader.sampler = dict(type='ResumableSampler')
    if run.options.batch_size is not None:
        cfg.train_dataloader.batch_size = run.options.batch_size
    for name in VAL_KEYS:
        cfg.pop(name, None)
    scored = run.has_truth and run.number('val')
    if scored:
        cfg.val_dataloader = _loader(run, 'val', truth=True)
        cfg.val_cfg = dict(type='ValLoop')
        cfg.val_evaluator = dict(type='PartialIoUMetric', iou_metrics=['mIoU'])
        cfg.train_cfg.setdefault('val_interval', 1)
        set_test_batch(cfg.val_dataloader, run)
        cfg.test_dataloader = cfg.val_dataloader
        cfg.test_cfg = dict(type='TestLoop')
        cfg.test_evaluator = cfg.val_evaluator
        cfg.tta_pipeline = views_pipeline(image_side(run))
        cfg.tta_model = dict(type='RunningTTAModel')
    else:
        cfg.train_cfg.pop('val_interval', None)
    rescale_schedule(cfg, segmenter_iterations(run, cfg))
    cfg.work_dir = str(run.folder / 'segmenter')
    set_machine(cfg, run)
    test = TEST_KEYS if scored else ()
    return only_keys(cfg, TRAIN_KEYS, VAL_KEYS, test)


def predict_config(run: Run) -> Config:
    """Return the config for the segmenter's masks of all images."""
    cfg = load_segmenter(run)
    _fit_model(cfg, run)
    # The checkpoint holds all weights.
    replace_weights(cfg.model, None)
    cfg.test_dataloader = _loader(run, 'all', truth=False)
    set_test_batch(cfg.test_dataloader, run)
    cfg.test_cfg = dict(type='TestLoop')
    cfg.pop('tta_pipeline', None)
    cfg.pop('tta_model', None)
    cfg.test_evaluator = dict(
        type='PseudoMaskWriter',
        output_dir=str(run.folder / 'predictions'),
        workers=0,
    )
    set_machine(cfg, run)
    return only_keys(cfg, TEST_KEYS)


def _fit_model(cfg: Config, run: Run) -> None:
    """Set the run's classes, crop size and initial weights in a model."""
    side = crop_side(run)
    set_classes(cfg.model, run.num_classes)
    cfg.model.data_preprocessor.size = (side, side)
    test_cfg = cfg.model.get('test_cfg') or {}
    if test_cfg.get('mode') == 'slide':
        stride = max(1, round(side * 2 / 3))
        test_cfg.update(crop_size=(side, side), stride=(stride, stride))
    weights = run.options.segmenter_weights
    if weights == 'none':
        replace_weights(cfg.model, None)
        if cfg.model.backbone.get('frozen_stages'):
            # Nothing to keep: all of it has to learn.
            cfg.model.backbone.update(frozen_stages=0, norm_eval=False)
    elif weights not in (None, TIMM):
        replace_weights(cfg.model, weights)


def _loader(run: Run, split: str, *, truth: bool) -> dict[str, Any]:
    prefix = dict(img_path='images')
    if truth:
        prefix['seg_map_path'] = 'truth'
    return dict(
        batch_size=8,
        num_workers=run.workers,
        persistent_workers=run.workers > 0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=describe_images(
            run,
            split,
            data_prefix=prefix,
            test_mode=True,
            pipeline=test_pipeline(image_side(run), truth=truth),
        ),
    )
