"""From a folder of tagged images to masks and a trained segmenter.

    python tools/wsss.py --images photos --labels labels.csv --work-dir out

checks the data, has CLIP mark the classes (seeds), refines that to pseudo
masks, trains a stock segmenter of mmseg on them, predicts every image with it,
scores where you have masks, and writes out/report.html. Each stage is an
ordinary config in out/configs.

labels.csv has the columns image and labels ("dog;sofa"). --resume goes on
where a run was stopped, and does again only what depends on what has changed.
"""

import argparse
import difflib
import os
import sys
from pathlib import Path
from typing import NoReturn

import open_clip
from mmengine.registry import init_default_scope

import mmseg_weakclip  # noqa: F401  (registers every class)
from mmseg_weakclip.wsss.class_list import read_classes
from mmseg_weakclip.wsss.estimate import (
    describe_plan,
    estimate_stages,
    measure_flops,
)
from mmseg_weakclip.wsss.lock import lock_folder
from mmseg_weakclip.wsss.machine import check_disk, check_folder
from mmseg_weakclip.wsss.manifest import Manifest
from mmseg_weakclip.wsss.options import Options
from mmseg_weakclip.wsss.pipeline import Pipeline
from mmseg_weakclip.wsss.planning import planned_entries
from mmseg_weakclip.wsss.prepare import read_sources
from mmseg_weakclip.wsss.problems import StageFailed, WrongUse
from mmseg_weakclip.wsss.run import Run
from mmseg_weakclip.wsss.segmenters import SEGMENTERS
from mmseg_weakclip.wsss.stages import METHODS, stages_of

ROOT = Path(__file__).resolve().parents[1]
CRFS = ('none', 'voc12', 'coco14')


class Parser(argparse.ArgumentParser):
    """One line of what is wrong, in place of the usage."""

    def error(self, message: str) -> NoReturn:
        raise WrongUse(f'{message} (--help lists all options)')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument(
        '--work-dir', required=True, metavar='OUT', help='folder of the run'
    )
    data = parser.add_argument_group('data')
    data.add_argument('--images', metavar='DIR', help='folder of images')
    data.add_argument(
        '--labels',
        metavar='FILE',
        help='CSV with the columns image and labels, or any label file that '
        'tools/dataset_converters/image_labels.py reads',
    )
    data.add_argument(
        '--classes',
        help='YAML file (names, prompts, background words, colors), or names '
        'between commas; default: what the labels name',
    )
    data.add_argument(
        '--truth',
        metavar='DIR',
        help='PNG masks of some images, for scores only',
    )
    data.add_argument(
        '--val-list', metavar='FILE', help='images to keep for validation'
    )
    data.add_argument(
        '--val-share',
        type=float,
        help='or the share of them to keep (default: 0.1)',
    )
    data.add_argument(
        '--max-side',
        type=int,
        help='longer images are worked on at this size (default: 1280)',
    )
    data.add_argument(
        '--skip-damaged',
        action='store_true',
        help='go on without images that can not be read',
    )
    method = parser.add_argument_group('method')
    method.add_argument('--method', help=f'{", ".join(METHODS)}')
    method.add_argument('--clip', help='model of open_clip')
    method.add_argument(
        '--clip-weights', help='tag of open_clip, a file, or "random"'
    )
    method.add_argument(
        '--clip-size', type=int, help='short side that CLIP sees, in pixels'
    )
    method.add_argument('--crf', help=f'{", ".join(CRFS)}')
    method.add_argument(
        '--method-iterations',
        type=int,
        help="length of the method's own trainings",
    )
    last = parser.add_argument_group('segmenter')
    last.add_argument('--segmenter', help=f'{", ".join(SEGMENTERS)}')
    last.add_argument(
        '--segmenter-weights', help='file to start from, or "none"'
    )
    last.add_argument(
        '--segmenter-size', type=int, help='side of its crops, in pixels'
    )
    last.add_argument('--iterations', type=int, help='of its training')
    last.add_argument('--batch-size', type=int, help='of all trainings')
    last.add_argument(
        '--amp', action='store_true', help='train in half precision'
    )
    how = parser.add_argument_group('how to run')
    how.add_argument('--gpus', type=int, help='default: one if there is one')
    how.add_argument('--seed', type=int, help='of all random numbers')
    how.add_argument(
        '--resume',
        action='store_true',
        help='go on with the run in OUT, with its options where none are '
        'given here',
    )
    how.add_argument('--until', metavar='STAGE', help='stop behind this stage')
    how.add_argument(
        '--dry-run', action='store_true', help='show the plan, do nothing'
    )
    return parser.parse_args(argv)


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """See that a choice is known.

    Raises:
        WrongUse: It is not; the nearest that is stands in the message.
    """
    if value in known:
        return
    near = difflib.get_close_matches(value, known, 1, 0.4)
    hint = f'known: {", ".join(known)}'
    if near:
        hint = f'did you mean {near[0]}?'
    raise WrongUse(f'--{name} {value} is unknown; {hint}')


def read_options(args: argparse.Namespace, before: Manifest | None) -> Options:
    """The options of this call, those of an earlier one below them.

    Raises:
        WrongUse: They do not fit together.
    """
    given = {
        key: value
        for key, value in vars(args).items()
        if key not in ('resume', 'until', 'dry_run')
    }
    for name in ('images', 'truth', 'labels', 'val_list', 'work_dir'):
        if name in given:
            given[name] = os.path.abspath(given[name])
    if before is not None:
        given = {**before.options.to_json(), **given}
    for name in ('images', 'labels'):
        if given.get(name) is None:
            raise WrongUse(f'--{name} is missing (--help lists all options)')
    options = Options.from_json(given)
    one_of('method', options.method, METHODS)
    one_of('segmenter', options.segmenter, tuple(SEGMENTERS))
    if options.crf is not None:
        one_of('crf', options.crf, CRFS)
    options = options.with_clip_defaults()
    if options.clip is not None:
        one_of('clip', options.clip, tuple(open_clip.list_models()))
    if not 0 <= options.val_share < 1:
        raise WrongUse(f'--val-share {options.val_share} is not in [0, 1)')
    for name in ('iterations', 'method_iterations', 'batch_size', 'max_side',
                 'clip_size', 'segmenter_size'):  # fmt: skip
        value = getattr(options, name)
        if value is not None and value < 1:
            raise WrongUse(f'--{name.replace("_", "-")} {value} is below 1')
    return options


def work(args: argparse.Namespace) -> None:
    folder = Path(args.work_dir).absolute()
    before = Manifest.load(folder)
    resumed = getattr(args, 'resume', False)
    dry = getattr(args, 'dry_run', False)
    if before is not None and not (resumed or dry):
        raise WrongUse(
            f'{folder} holds a run already; add --resume to go on with it, '
            'or choose another --work-dir'
        )
    if before is None and resumed:
        print(f'{folder} holds no run yet; this is its first')
    options = read_options(args, before)
    stages = stages_of(options.method)
    until = getattr(args, 'until', None)
    if until is not None:
        one_of('until', until, tuple(stage.name for stage in stages))
    classes = read_classes(options.classes) if options.classes else None
    sources = read_sources(options, classes)
    run = Run.begin(ROOT, folder, options, sources.classes)
    planned = run.with_entries(planned_entries(sources, options))
    estimates = estimate_stages(planned, stages, measure_flops())
    check_disk(folder, sum(size for _, size in estimates.values()))
    print('\n'.join(['the plan:', *describe_plan(stages, estimates)]))
    if dry:
        return
    check_folder(folder)
    with lock_folder(folder) as lock:
        manifest = Manifest(folder, options, [])
        if before is not None:
            manifest.stages = before.stages
        manifest.match(stages)
        manifest.save()
        Pipeline(run, sources, stages, manifest, lock).go(until)
    print(f'\n{last_lines(folder, until)}')


def last_lines(folder: Path, until: str | None) -> str:
    """What to look at."""
    if until is not None:
        return f'stopped behind {until}; go on: --work-dir {folder} --resume'
    return (
        f'look at   {folder / "report.html"}\n'
        f'masks     {folder / "results"}\n'
        f'segmenter {folder / "configs/predict.py"} with the checkpoint in '
        f'{folder / "segmenter"}'
    )


def main(argv: list[str] | None = None) -> int:
    init_default_scope('mmseg')
    try:
        args = parse_args(argv)
        work(args)
    except WrongUse as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except StageFailed as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            f'\nstopped; go on: {sys.argv[0]} --work-dir {args.work_dir} '
            '--resume',
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
