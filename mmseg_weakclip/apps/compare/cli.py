"""Run several methods on the same photos, and put their masks side by side.

    weakclip compare --methods excel,clipes,cam --work-dir out
        --images photos --labels labels.csv --limit 40

chooses 40 photos so that all tags appear, runs each method up to its masks in
a folder of its own below out, and writes out/compare.html: agreement, what
each method does with every tag, times, scores where --truth has masks, and the
commands to go on. seeds:DIR takes the masks of another tool. Called again, it
goes on where it was stopped. Methods that train are given all photos.

Other options are those of weakclip run (weakclip run --help); those of a
method go to the methods that know them, and those of the segmenter into the
commands to go on.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg_weakclip.apps.errors import StageFailed, UserError

FILE = 'compare.html'
LIMIT = 40
# Options of `weakclip run` that a comparison sets or has no use for.
TAKEN = ('method', 'seeds', 'until', 'resume', 'dry_run')
# The most needed of the options that runs get, for --help.
OF_RUNS = dict(
    images='folder of photos',
    labels='their tags',
    classes='classes, as for weakclip run',
    truth='masks of some photos, for scores only',
)
OF_SEGMENTER = ('segmenter', 'iterations')


def parse_command(
    argv: Sequence[str] | None, prog: str | None
) -> tuple[argparse.Namespace, dict[str, Any], dict[str, Any]]:
    """Return the command's own arguments, those of runs, of the segmenter.

    Raises:
        UserError: An option is unknown, taken, or has a wrong value.
    """
    from mmseg_weakclip.apps.wsss.arguments import Parser, parse_args
    from mmseg_weakclip.apps.wsss.options import Options

    parser = Parser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        '--methods', required=True, help='names between commas; seeds:DIR'
    )
    parser.add_argument(
        '--limit',
        type=int,
        default=LIMIT,
        help='number of photos at most (default: %(default)s)',
    )
    parser.add_argument(
        '--work-dir', required=True, metavar='OUT', help='folder of all runs'
    )
    for name, text in OF_RUNS.items():
        parser.add_argument(f'--{name}', default=argparse.SUPPRESS, help=text)
    own, rest = parser.parse_known_args(argv)
    for name in OF_RUNS:
        if name in own:
            rest += [f'--{name}', getattr(own, name)]
    if own.limit < 1:
        raise UserError(f'--limit {own.limit} is below 1')
    given = vars(parse_args(None, [*rest, '--work-dir', own.work_dir], prog))
    for name in TAKEN:
        if name in given:
            raise UserError(
                f'--{name.replace("_", "-")} is no option of weakclip '
                'compare, which sets it for each method'
            )
    own.work_dir = Path(given.pop('work_dir')).absolute()
    segmenter = {
        key: given.pop(key)
        for key in list(given)
        if key.startswith(OF_SEGMENTER)
    }
    segmenter.setdefault('segmenter', Options.segmenter)
    for name in ('images', 'labels', 'truth', 'val_list'):
        if name in given:
            given[name] = os.path.abspath(given[name])
    if os.path.exists(given.get('classes', '')):
        given['classes'] = os.path.abspath(given['classes'])
    return own, given, segmenter


def compare_methods(
    own: argparse.Namespace,
    given: Mapping[str, Any],
    segmenter: Mapping[str, Any],
) -> Path:
    """Run the methods and write the page.

    Args:
        own: Methods, limit and folder.
        given: Arguments of the runs.
        segmenter: Arguments for the commands to go on.

    Returns:
        The page.

    Raises:
        UserError: The user has to correct something.
        StageFailed: A stage of a run ended with an error.
    """
    from mmseg_weakclip.apps.wsss.cli import run_command
    from mmseg_weakclip.common.files import write_atomically

    from .checks import check_clip, check_runs
    from .contenders import next_command, parse_methods, run_arguments
    from .photos import choose_photos, table_options, write_photos
    from .results import common_photos, read_results

    folder = own.work_dir
    contenders = parse_methods(own.methods, folder)
    sources = _read_all(folder, given)
    labels = sources.labelling.labels
    chosen = choose_photos(labels, own.limit, set(sources.truth))
    if not chosen:
        raise UserError(
            f'--labels {given["labels"]} gives no photo a tag; there is '
            'nothing to compare'
        )
    table = table_options(sources.classes.names)
    runs = [
        (one, run_arguments(one, given, folder, table)) for one in contenders
    ]
    check_runs(
        runs,
        sources,
        chosen,
        is_ordered='classes' in given,
        truth=given.get('truth'),
    )
    check_clip(contenders, given)
    write_photos(folder, Path(given['images']), sources, chosen)
    for one, args in runs:
        print(f'\n== {one.title}', flush=True)
        try:
            run_command(args)
        except (UserError, StageFailed) as error:
            raise type(error)(f'{one.title}: {error}') from error
    results = read_results(contenders)
    photos = common_photos(results, chosen)
    from .page import MethodComparison, render_comparison

    comparison = MethodComparison(
        results=results,
        photos=photos,
        masks=[[one.mask(path) for path in photos] for one in results],
        truths=[_truth(results, path) for path in photos],
        commands=[
            next_command(one, given, segmenter, folder) for one in contenders
        ],
        missing=len(chosen) - len(photos),
        labelled=len(labels),
    )
    path = folder / FILE
    write_atomically(path, render_comparison(comparison).encode())
    print(f'\nlook at {path}\nthen go on with one of:')
    for one, command in zip(contenders, comparison.commands, strict=True):
        print(f'  {one.title:16} {command}')
    return path


def _read_all(folder: Path, given: Mapping[str, Any]) -> Any:
    """Return the sources of all photos, as the first run would read them."""
    from mmseg_weakclip.apps.wsss.arguments import read_options
    from mmseg_weakclip.apps.wsss.inputs.classes import read_classes
    from mmseg_weakclip.apps.wsss.inputs.given import read_sources

    general = ('images', 'labels', 'truth', 'val', 'classes', 'image_',
               'label_', 'delimiter', 'separator', 'layout')  # fmt: skip
    values = {k: v for k, v in given.items() if k.startswith(general)}
    options = read_options(
        argparse.Namespace(**values, work_dir=str(folder)), None
    )
    classes = read_classes(options.classes) if options.classes else None
    return read_sources(options, classes)


def _truth(results: Sequence[Any], path: str) -> Any:
    found = (one.truth(path) for one in results)
    return next((mask for mask in found if mask is not None), None)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see ``--help``."""
    from mmseg_weakclip.apps.run_folder.schema import RunError

    try:
        own, given, segmenter = parse_command(argv, prog)
        compare_methods(own, given, segmenter)
    except (UserError, RunError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except StageFailed as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nstopped; the same command goes on', file=sys.stderr)
        return 130
    return 0
