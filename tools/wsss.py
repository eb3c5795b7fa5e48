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
import sys
from pathlib import Path

from mmengine.registry import init_default_scope

import mmseg_weakclip  # noqa: F401  (registers every class)
from mmseg_weakclip.apps.errors import StageFailed, WrongUse
from mmseg_weakclip.apps.run_folder.manifest import Manifest
from mmseg_weakclip.apps.wsss.classes import read_classes
from mmseg_weakclip.apps.wsss.cli import one_of, parse_args, read_options
from mmseg_weakclip.apps.wsss.estimate import (
    describe_plan,
    estimate_stages,
    measure_flops,
)
from mmseg_weakclip.apps.wsss.pipeline import Pipeline
from mmseg_weakclip.apps.wsss.planning import planned_entries
from mmseg_weakclip.apps.wsss.preflight import check_disk, check_folder
from mmseg_weakclip.apps.wsss.prepare import read_sources
from mmseg_weakclip.apps.wsss.run import Run
from mmseg_weakclip.apps.wsss.stages import checkpoint_name, stages_of
from mmseg_weakclip.common.files import lock_folder

ROOT = Path(__file__).resolve().parents[1]


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
        pipeline = Pipeline(run, sources, stages, manifest, lock)
        pipeline.go(until)
    trained = pipeline.stages['segmenter']
    checkpoint = folder / checkpoint_name(pipeline.run, trained)
    print(f'\n{last_lines(folder, until, checkpoint)}')


def last_lines(folder: Path, until: str | None, checkpoint: Path) -> str:
    """What to look at."""
    if until is not None:
        return f'stopped behind {until}; go on: --work-dir {folder} --resume'
    return (
        f'look at      {folder / "report.html"}\n'
        f'masks        {folder / "results"}\n'
        'more images  python tools/demo.py DIR --config '
        f'{folder / "configs/predict.py"} --checkpoint {checkpoint}'
    )


def main(argv: list[str] | None = None) -> int:
    init_default_scope('mmseg')
    try:
        args = parse_args(__doc__, argv)
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
