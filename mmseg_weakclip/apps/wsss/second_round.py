"""A second round: masks of the first segmenter, and a segmenter on them.

The first segmenter has seen all photos, so its masks are more alike than the
seeds that it learnt from, and the tags take away what an image does not have.
"""

import os
from collections import Counter

from mmengine.config import Config

from mmseg_weakclip.pseudo_masks.store import MaskStore

from .config_edits import TEST_KEYS, only_keys
from .method_configs import (
    crf_settings,
    describe_images,
    set_machine,
    set_test_batch,
)
from .run import Run
from .segmenter_configs import (
    image_side,
    prediction_config,
    test_pipeline,
    views_pipeline,
)

# Stages of the second round, and their folders.
MASKS, LAST = 'masks_2', 'segmenter_2'
# Of the views. Half of those of a scored test, in a third of the time.
SCALES = (0.75, 1.0, 1.25)
LABELS = dict(type='LoadImageLabels', ann_file='image_labels.json')


def second_masks_config(run: Run) -> Config:
    """Return the config for the first segmenter's masks of labelled images.

    They are made of several scales, restricted to the labels, and refined by
    the CRF. A label without a pixel keeps those of the first round.
    """
    cfg = prediction_config(run)
    side = image_side(run)
    single = test_pipeline(side, truth=False)
    views = views_pipeline(side, truth=False, scales=SCALES)
    (*_, pack) = single
    packed = dict(pack, meta_keys=(*pack['meta_keys'], 'image_labels'))
    single[-1] = views[-1]['transforms'][-1][0] = packed
    for pipeline in (single, views):
        pipeline.insert(1, dict(LABELS))
    cfg.test_dataloader.dataset = describe_images(
        run, 'labelled', test_mode=True, pipeline=single
    )
    cfg.tta_pipeline = views
    cfg.tta_model = dict(type='RunningTTAModel')
    set_test_batch(cfg.test_dataloader, run)
    cfg.test_evaluator = dict(
        type='PseudoMaskWriter',
        output_dir=str(run.folder / MASKS),
        crf=crf_settings(run),
        use_labels=True,
        keep_lost=str(run.folder / 'masks/masks'),
        workers=None if run.gpus else os.cpu_count(),
    )
    if run.options.ignore_flips:
        cfg.test_evaluator['flips'] = dict()
    set_machine(cfg, run)
    return only_keys(cfg, TEST_KEYS)


def describe_lost(run: Run) -> list[str]:
    """Return what to say of labels that the first segmenter did not find."""
    records = MaskStore(run.folder / MASKS).finished().values()
    lost = [record['lost'] for record in records if record.get('lost')]
    if not lost:
        return []
    names = run.classes.names
    counts = Counter(names[k] for classes in lost for k in classes)
    found = ', '.join(f'{name} in {n}' for name, n in counts.most_common())
    return [
        f'{len(lost)} images show something that the segmenter did not find, '
        f'and keep its pixels of the first masks: {found}'
    ]
