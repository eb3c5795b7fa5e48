"""The command ``weakclip``: one subcommand per task.

``python -m mmseg_weakclip`` and the scripts in ``tools/`` call the same
functions. A module is imported when its command is called, so that help does
not wait for torch.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from mmseg_weakclip.apps.errors import TRACEBACK, mistake_of
from mmseg_weakclip.version import __version__

# Command -> (module below this package, line of --help).
COMMANDS = {
    'run': ('wsss.cli', 'from tagged images to masks and a segmenter'),
    'compare': ('compare.cli', 'several methods on the same photos'),
    'train': ('commands.train', 'train the model of a config'),
    'test': ('commands.test', 'test a model, or make seeds and masks with it'),
    'demo': ('demo.cli', 'paint classes over images and videos'),
    'report': ('report.cli', 'write the page about a run'),
    'export': ('export.cli', 'write a segmenter as ONNX or TorchScript'),
    'export-masks': (
        'annotations.cli',
        'write masks for annotation tools, COCO and YOLO',
    ),
    'check': ('commands.check_dataset', 'check the data of a config'),
    'check-protocol': (
        'commands.check_protocol',
        "compare a config's test with a paper's",
    ),
    'labels': ('commands.image_labels', 'convert image labels to JSON'),
    'refine': ('commands.refine_seeds', 'refine class maps that were kept'),
    'regions': ('commands.make_regions', 'find regions, such as superpixels'),
    'sweep': ('commands.sweep_threshold', 'score all background thresholds'),
    'weights': ('weights', 'download and check the weights of configs'),
    'config': ('commands.config', 'print a config with all that it inherits'),
    'toyland': ('commands.make_toyland', 'draw the toy world'),
}


def usage() -> str:
    """Return what ``weakclip --help`` prints."""
    rows = (f'  {name:15}{text}' for name, (_, text) in COMMANDS.items())
    return '\n'.join(
        [
            'usage: weakclip COMMAND ...',
            '',
            'Weakly supervised segmentation with CLIP.',
            '',
            *rows,
            '',
            'weakclip COMMAND --help lists the options of a command.',
            f'{TRACEBACK}=1 in the environment shows where errors come from.',
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Words after ``weakclip``; those of this process by default.

    Returns:
        The exit code: 0, 1 if the work failed, 2 for a user's mistake.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ('-h', '--help'):
        print(usage())
        return 0
    name, *rest = words
    if name == '--version':
        print(f'mmseg_weakclip {__version__}')
        return 0
    if name not in COMMANDS:
        print(
            f'weakclip: unknown command {name!r}; known: '
            f'{", ".join(COMMANDS)}',
            file=sys.stderr,
        )
        return 2
    module = import_module(f'mmseg_weakclip.apps.{COMMANDS[name][0]}')
    try:
        return module.main(rest, prog=f'weakclip {name}') or 0
    except SystemExit as end:
        if not isinstance(end.code, str) or os.environ.get(TRACEBACK):
            raise
        print(f'error: {end.code.removeprefix("error: ")}', file=sys.stderr)
        return 2
    except Exception as error:
        message = mistake_of(error)
        if message is None or os.environ.get(TRACEBACK):
            raise
        print(f'error: {message}', file=sys.stderr)
        return 2
