"""Turn a folder of tagged images into masks and a trained segmenter.

    weakclip run --images photos --labels labels.csv --work-dir out

checks the data, finds the classes with CLIP, or with a classifier that learns
them from the labels (--method cam), refines these seeds to pseudo masks,
trains a stock segmenter of mmseg on them, predicts every image with it, scores
where you have masks, and writes out/report.html. Each stage is an ordinary
config in out/configs.

Masks that another tool made can stand for the seeds, or be joined with those
of a method (--seeds DIR).

labels.csv has the columns image and labels ("dog;sofa"). --resume goes
on with a stopped run, and repeats only the stages whose inputs have changed.
"""

import argparse
import contextlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg_weakclip.apps.errors import StageFailed, UserError

from .arguments import parse_args, read_options, require_choice
from .options import Options

if TYPE_CHECKING:
    from .launch.stage_server import StageServer
    from .manifest import Manifest


def run_command(args: argparse.Namespace) -> None:
    """Check what the user gave, print the plan, and run the stages.

    Raises:
        UserError: The user has to correct something.
        StageFailed: A stage ended with an error.
        KeyboardInterrupt: The user stopped the run.
    """
    from .manifest import Manifest

    folder = Path(args.work_dir).absolute()
    before = Manifest.load(folder)
    resumed = getattr(args, 'resume', False)
    dry = getattr(args, 'dry_run', False)
    if before is not None and not (resumed or dry):
        if before.has_begun_beyond('data'):
            raise UserError(
                f'{folder} holds a run already; add --resume to go on with '
                'it, or choose another --work-dir'
            )
        print(f'{folder} holds a run of which only the data was checked')
    if before is None and resumed:
        print(f'{folder} holds no run to resume; starting a new one')
    gpus = before.options.gpus if before is not None else None
    with contextlib.ExitStack() as stack:
        server = None
        if not dry:
            from .launch.stage_server import start_server

            # Its imports take seconds; meanwhile the data is checked.
            server = stack.enter_context(
                start_server(getattr(args, 'gpus', gpus))
            )
        options = read_options(args, before if resumed or dry else None)
        run_pipeline(
            options, before, getattr(args, 'until', None), server, dry=dry
        )


def run_pipeline(
    options: Options,
    before: 'Manifest | None',
    until: str | None,
    server: 'StageServer | None',
    *,
    dry: bool,
) -> None:
    """Read the sources, print the plan, and run the stages.

    Args:
        options: Options of the user.
        before: Manifest of an earlier start of the run, or None.
        until: Stage to stop after, or None.
        server: Server that forks the stages, or None.
        dry: Whether to stop after the plan.
    """
    from mmseg_weakclip.common.files import lock_folder

    from .inputs.classes import read_classes
    from .inputs.given import estimate_sizes, read_sources
    from .inputs.understood import describe_sources
    from .launch.execute import Launcher
    from .manifest import Manifest
    from .pipeline import Pipeline
    from .plan import describe_plan, stage_bytes
    from .preflight import check_disk, check_folder
    from .run import Run
    from .segmenter_configs import check_segmenter
    from .stages import checkpoint_name, stages_of

    folder = Path(options.work_dir)
    stages = stages_of(options.method, options.rounds, joined=options.joins)
    if until is not None:
        require_choice('until', until, tuple(stage.name for stage in stages))
    classes = read_classes(options.classes) if options.classes else None
    sources = read_sources(options, classes)
    run = Run.begin(folder, options, sources.classes)
    check_segmenter(run)
    planned = run.with_images(estimate_sizes(sources, options))
    check_disk(folder, sum(stage_bytes(planned, stage) for stage in stages))
    lines = ['what was understood:']
    lines += [f'  {line}' for line in describe_sources(sources, options)]
    lines += ['the plan:', *describe_plan(planned, stages)]
    print('\n'.join(lines))
    if dry:
        return
    check_folder(folder)
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(lock_folder(folder))
        except BlockingIOError as error:
            raise UserError(
                f'another process works in {folder}; wait for it or stop it'
            ) from error
        manifest = Manifest(folder, options, [])
        if before is not None:
            manifest.stages = before.stages
        manifest.match(stages)
        manifest.save()
        settings = {} if run.gpus else {'CUDA_VISIBLE_DEVICES': ''}
        launcher = Launcher((lock,), settings, server)
        pipeline = Pipeline(run, sources, stages, manifest, launcher)
        pipeline.run_stages(until)
    trained = pipeline.stages[pipeline.stages['predict'].weights]
    checkpoint = folder / checkpoint_name(pipeline.run, trained)
    print(f'\n{next_steps(folder, until, checkpoint)}')


def next_steps(folder: Path, until: str | None, checkpoint: Path) -> str:
    """Return the files to look at, and the commands to go on with."""
    from .config_files import CONFIGS
    from .launch.machines import SCRIPT

    if until is not None:
        words = ['weakclip', 'run', '--work-dir', str(folder), '--resume']
        script = shlex.quote(str(folder / CONFIGS / SCRIPT))
        return (
            f'stopped after {until}; go on: {shlex.join(words)}\n'
            f'on several machines: bash {script}'
        )
    words = [
        *('weakclip', 'demo', 'DIR', '--config'),
        *(str(folder / 'configs/predict.py'), '--checkpoint', str(checkpoint)),
    ]
    return (
        f'look at      {folder / "report.html"}\n'
        f'masks        {folder / "results"}\n'
        f'more images  {shlex.join(words)}'
    )


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see ``--help``."""
    try:
        args = parse_args(__doc__, argv, prog)
        run_command(args)
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except StageFailed as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        words = ['weakclip', 'run', '--work-dir', args.work_dir, '--resume']
        print(f'\nstopped; go on: {shlex.join(words)}', file=sys.stderr)
        return 130
    return 0
