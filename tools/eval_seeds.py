"""Score a folder of seeds or pseudo masks against the truth of a split.

    python tools/eval_seeds.py data/toyland/seeds configs/toyland/seeds.py \\
        --ann-file ImageSets/Segmentation/val.txt

FOLDER is what PseudoMaskWriter wrote: masks/*.png and, with score_stride, the
class maps scores/*.npz. The data set is that of the config's test_dataloader.
Masks are scored as they are. Class maps are scored at --threshold, fixed
beforehand; the best threshold is named apart, for it is picked with pixel
truth. How many maps have the wrong sign (their class scores below the rest of
the image), how much of their class they cover and how pure they are is said,
too. Seeds of VOC are reported on train.txt (1,464 images), trained on
trainaug.txt.
"""

import argparse
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

import mmseg_weakclip  # noqa: F401  (registers every class)
from mmseg_weakclip.common.masks import read_mask
from mmseg_weakclip.common.workers import progress_bar
from mmseg_weakclip.evaluation.areas import class_areas, class_ious, iou_table
from mmseg_weakclip.evaluation.cam_metric import threshold_areas
from mmseg_weakclip.evaluation.map_quality import (
    sample_quality,
    summarize_quality,
)
from mmseg_weakclip.pseudo_masks.store import load_scores

CURVE = np.arange(1, 20) / 20


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('folder', type=Path, metavar='FOLDER')
    parser.add_argument('config', help='config with the data set')
    parser.add_argument('--ann-file', help='another list of images')
    parser.add_argument(
        '--threshold',
        type=float,
        default=0.5,
        help='of the background, for class maps (default: %(default)s)',
    )
    return parser.parse_args()


def build_dataset(args: argparse.Namespace):
    """The config's test data, with nothing but truth in its pipeline."""
    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = cfg.test_dataloader.dataset
    if args.ann_file is not None:
        dataset.ann_file = args.ann_file
    dataset.pipeline = [
        dict(type='LoadColorImage'),
        dict(type='LoadTruthIfPresent'),
    ]
    return DATASETS.build(dataset)


def spread_scores(
    scores: np.ndarray, classes: np.ndarray, num_classes: int
) -> np.ndarray:
    """Class maps of one image, zero for what it lacks, (K - 1, H, W)."""
    whole = np.zeros((num_classes - 1, *scores.shape[1:]), np.float32)
    whole[classes.astype(int) - 1] = scores
    return whole


def main() -> None:
    args = parse_args()
    if not 0 < args.threshold < 1:
        raise SystemExit(f'--threshold {args.threshold} is not in (0, 1)')
    dataset = build_dataset(args)
    classes = dataset.metainfo['classes']
    thresholds = np.unique(np.append(CURVE, args.threshold))
    with_maps = (args.folder / 'scores').is_dir()
    masks, maps, missing, without_truth = 0, 0, [], 0
    quality = []
    scored = 0
    for index in progress_bar('score', len(dataset), range(len(dataset))):
        sample = dataset[index]
        name = sample['img_id']
        path = args.folder / 'masks' / f'{name}.png'
        if not path.is_file():
            missing.append(name)
            continue
        if 'gt_seg_map' not in sample:
            without_truth += 1
            continue
        truth = sample['gt_seg_map']
        mask = read_mask(str(path))
        if mask.shape != truth.shape:
            raise SystemExit(
                f'\n{path} has {mask.shape} pixels, its truth {truth.shape}'
            )
        scored += 1
        masks = masks + class_areas(mask, truth, len(classes))
        if with_maps:
            scores, own = load_scores(args.folder / 'scores' / f'{name}.npz')
            cams = spread_scores(scores.numpy(), own, len(classes))
            maps = maps + threshold_areas(cams, truth, thresholds)
            quality += sample_quality(
                scores.numpy(), own, truth, args.threshold
            )
    if not scored:
        raise SystemExit(
            f'\nnothing to score: of {len(dataset)} images {len(missing)} '
            f'have no mask in {args.folder}, {without_truth} have no truth'
        )
    print(
        f'\n{type(dataset).__name__}, '
        f'{dataset.ann_file or "all images"}: {scored} of {len(dataset)} '
        f'images scored, {len(missing)} without a mask'
        f'{f" (the first: {missing[0]})" if missing else ""}, '
        f'{without_truth} without truth'
    )
    columns = dict(masks=class_ious(masks))
    if with_maps:
        curve = np.stack([class_ious(areas) for areas in maps])
        means = np.nanmean(curve, 1)
        fixed = int(np.searchsorted(thresholds, args.threshold))
        best = int(means.argmax())
        columns[f'maps at {args.threshold:g}'] = curve[fixed]
    print(iou_table(classes, **columns))
    print(f'masks as they are: {np.nanmean(columns["masks"]):.2f} mIoU')
    if with_maps:
        print(
            f'class maps at the fixed threshold {args.threshold:g}: '
            f'{means[fixed]:.2f}\n'
            f'best threshold, picked with pixel truth, '
            f'{thresholds[best]:g}: {means[best]:.2f}'
        )
    if quality:
        shares = summarize_quality(quality)
        print(
            f'{len(quality)} class maps: {shares["wrong_sign"]:.1f} % have '
            f'the wrong sign; they cover {shares["coverage"]:.1f} % of their '
            f'class, and {shares["purity"]:.1f} % of what they mark is it'
        )


if __name__ == '__main__':
    main()
