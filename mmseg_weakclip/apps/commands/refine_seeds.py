r"""Make masks from kept class maps, without CLIP.

    weakclip refine data/toyland/seeds data/toyland/refined \
        --config configs/toyland/seeds.py --power 1 --par

FOLDER holds the class maps (scores/*.npz) that PseudoMaskWriter keeps with
score_stride. Without --threshold and --power, the config says how, as in

    refine = dict(background=dict(power=1.), par=None, crf='voc12')

Masks of hard labels are refined instead of class maps where the config has
labels=dict(confidence=0.7) for background, as that of `weakclip run --seeds`.

A stopped run is resumed; other settings need another output folder. Several
machines share the work by --shard 0/2 on the first and --shard 1/2 on the
second, with the same OUT.
"""

import argparse
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

import mmseg_weakclip.parts  # noqa: F401  (registers every class)
from mmseg_weakclip.common.region_files import describe_regions
from mmseg_weakclip.common.resources import read_config
from mmseg_weakclip.common.workers import progress_bar, worker_context
from mmseg_weakclip.models.refine.cam import check_background
from mmseg_weakclip.models.refine.crf_params import resolve_crf_params
from mmseg_weakclip.models.refine.par import PAR_PRESETS, resolve_par
from mmseg_weakclip.models.refine.regions import RECIPES
from mmseg_weakclip.pseudo_masks.refiner import (
    Refiner,
    set_up_worker,
)
from mmseg_weakclip.pseudo_masks.seed_masks import SeedMaskRefiner
from mmseg_weakclip.pseudo_masks.store import MaskStore
from mmseg_weakclip.pseudo_masks.stored_cams import StoredCAMRefiner

# Keys of `refine` in a config.
KEYS = {
    'background', 'labels', 'par', 'crf', 'min_score', 'regions', 'sure_share',
    'transport', 'flips',
}  # fmt: skip
# Images that a message names; more are counted.
NAMED = 5


def _parse_args(
    argv: Sequence[str] | None = None, prog: str | None = None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('folder', type=Path, metavar='FOLDER')
    parser.add_argument('out', type=Path, metavar='OUT')
    parser.add_argument(
        '--config', required=True, help='config with the data set'
    )
    background = parser.add_mutually_exclusive_group()
    background.add_argument(
        '--threshold', type=float, help='background score, a constant'
    )
    background.add_argument(
        '--power', type=float, help='or (1 - highest map) to this power'
    )
    colors = parser.add_mutually_exclusive_group()
    for name in PAR_PRESETS:
        colors.add_argument(
            f'--{name}',
            action='store_const',
            dest='par',
            const=name,
            help=f'average scores over pixels of similar colour by '
            f'{name.upper()}',
        )
    parser.add_argument(
        '--transport',
        type=float,
        metavar='SMOOTHNESS',
        help='let classes and background compete for the pixels first, in '
        'equal shares, by an optimal transport (0.1)',
    )
    parser.add_argument('--crf', help='name of a CRF preset')
    parser.add_argument(
        '--regions',
        metavar='DIR',
        help='regions that vote at the end, written by `weakclip regions`',
    )
    parser.add_argument(
        '--recipe', choices=RECIPES, help='how they vote (default: vote)'
    )
    parser.add_argument(
        '--min-score',
        type=float,
        default=0.0,
        help='leave pixels of a lower refined score out (CLIP-ES: 0.95)',
    )
    parser.add_argument(
        '--sure-share',
        type=float,
        default=1.0,
        help='share of the pixels of each class, by margin, that keep it; the '
        'others are left out (BECO: 0.5)',
    )
    parser.add_argument('--workers', type=int, default=os.cpu_count())
    parser.add_argument(
        '--shard',
        type=_shard,
        default='0/1',
        metavar='I/N',
        help='refine every N-th image from the I-th on, counted from 0 '
        '(default: all); N calls with one OUT refine all images',
    )
    return parser.parse_args(argv)


def _shard(text: str) -> tuple[int, int]:
    """Parse the number of a share and how many there are."""
    number, _, count = text.partition('/')
    if not (number.isdecimal() and count.isdecimal()):
        raise argparse.ArgumentTypeError(f'{text!r} is not such as 0/2')
    if int(number) >= int(count):
        raise argparse.ArgumentTypeError(
            f'{text!r}: shares of {count} are 0/{count} to '
            f'{int(count) - 1}/{count}'
            if int(count)
            else f'{text!r} has no shares'
        )
    return int(number), int(count)


def read_settings(args: argparse.Namespace, cfg: Config) -> dict[str, Any]:
    """Return the refinement settings, from the flags or from the config."""
    if args.recipe and not args.regions:
        raise SystemExit(f'--recipe {args.recipe} needs --regions DIR')
    if args.threshold is None and args.power is None:
        if 'refine' not in cfg:
            raise SystemExit(
                'give --threshold or --power; the config has no `refine`'
            )
        if args.par or args.crf or args.min_score or args.regions:
            raise SystemExit(
                '--par, --pamr, --crf, --min-score, --regions: the config has '
                'these in `refine`; give --threshold or --power to ignore it'
            )
        settings = cfg.refine.to_dict()
        if unknown := sorted(set(settings) - KEYS):
            raise SystemExit(
                f'refine of {args.config} has {", ".join(unknown)}; known are '
                f'{", ".join(sorted(KEYS))}'
            )
    else:
        settings = dict(
            background=dict(threshold=args.threshold, power=args.power),
            par=resolve_par(args.par) if args.par else None,
            crf=args.crf or None,
        )
        if args.regions:
            settings['regions'] = dict(
                folder=args.regions, recipe=args.recipe or RECIPES[0]
            )
    settings.setdefault('par', None)
    settings.setdefault('crf', None)
    settings.setdefault('min_score', args.min_score)
    if args.sure_share != 1:
        settings['sure_share'] = args.sure_share
    if args.transport is not None:
        settings['transport'] = dict(smoothness=args.transport, sharpness=0.0)
    return settings


def make_refiner(
    settings: dict[str, Any], metainfo: dict[str, Any], out: Path
) -> StoredCAMRefiner | SeedMaskRefiner:
    """Return the refiner of one image.

    Args:
        settings: Settings of the refinement, see :func:`read_settings`.
        metainfo: Classes and colours of the data set.
        out: Folder of the new masks.
    """
    refiner = Refiner(
        settings['par'],
        settings['crf'],
        'auto',
        settings['min_score'],
        255,
        regions=settings.get('regions'),
        sure_share=settings.get('sure_share', 1.0),
        transport=settings.get('transport'),
        flips=settings.get('flips'),
    )
    names, palette = metainfo['classes'], metainfo['palette']
    if 'labels' in settings:
        return SeedMaskRefiner(
            refiner, palette=palette, num_classes=len(names),
            folder=str(out), **settings['labels'],
        )  # fmt: skip
    check_background(settings.get('background') or {})
    return StoredCAMRefiner(
        refiner, settings['background'], palette, len(names), str(out)
    )


def find_refine_inputs(
    folder: Path, refine: StoredCAMRefiner | SeedMaskRefiner
) -> dict[str, tuple[Any, ...]]:
    """Return what the refiner reads of each image of a folder, by its id.

    Args:
        folder: Folder of class maps, or of masks whose records name the
            classes of their images.
        refine: Refiner of one image.
    """
    if isinstance(refine, StoredCAMRefiner):
        return {path.stem: (path,) for path in folder.glob('scores/*.npz')}
    store = MaskStore(folder)
    return {
        image_id: (store.mask_path(image_id), record['classes'])
        for image_id, record in store.finished().items()
    }


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the command; see ``--help``."""
    args = _parse_args(argv, prog)
    cfg = read_config(args.config)
    settings = read_settings(args, cfg)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    if settings['crf']:
        resolve_crf_params(settings['crf'])
    source = args.folder / 'settings.json'
    if not source.is_file():
        raise SystemExit(f'{args.folder} is not a folder of PseudoMaskWriter')
    refine = make_refiner(settings, dataset.metainfo, args.out)
    number, count = args.shard
    origin = {}
    if settings.get('regions'):
        origin['regions'] = describe_regions(settings['regions'])
    # Each share has records of its own, as each process of a test has.
    store = MaskStore(args.out, number)
    store.open(
        dict(
            source=json.loads(source.read_text()),
            **{**settings, **origin},
        )
    )
    finished = store.finished()
    # Of all images, not of those that are left: other shares go on meanwhile.
    infos = [
        dataset.get_data_info(index)
        for index in range(number, len(dataset), count)
    ]
    inputs = find_refine_inputs(args.folder, refine)
    todo, missing = [], 0
    for info in infos:
        if info['img_id'] not in inputs:
            missing += 1
        elif info['img_id'] not in finished:
            todo.append((info['img_path'], *inputs[info['img_id']]))
    if infos and missing == len(infos):
        what, cure = 'class maps', 'set score_stride in PseudoMaskWriter'
        if 'labels' in settings:
            what, cure = 'masks', 'make them by weakclip run --until seeds'
        raise SystemExit(
            f'{args.folder} holds no {what} of the {missing} images; {cure}'
        )
    context = worker_context('mmseg_weakclip.pseudo_masks.refiner')
    with ProcessPoolExecutor(args.workers, context, set_up_worker) as pool:
        waiting = [pool.submit(refine, *task) for task in todo]
        for future in progress_bar(
            'refine', len(waiting), as_completed(waiting)
        ):
            store.finish(future.result())
    bare = [
        image_id
        for image_id, record in store.finished().items()
        if record.get('regions') == 0
    ]
    if bare:
        print(
            f'{len(bare)} images have no regions, and keep their scores: '
            f'{", ".join(bare[:NAMED])}'
        )
    print(
        f'{len(store.finished())} masks in {args.out / "masks"}, '
        f'{missing} images had none to refine'
    )
