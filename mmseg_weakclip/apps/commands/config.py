"""Print a config as one file, with everything that it inherits.

    weakclip config weakclip_voc > my.py

NAME is a config of this package below configs/, with or without .py, or a
file. The result needs no other file: mmsegmentation's own tools/train.py runs
it, since it has the line of custom_imports. Paths of data stay relative to
the folder that a training is started in. Comments are kept above the setting
that they belong to.
"""

import argparse
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.config import Config

from mmseg_weakclip.common.resources import find_config, read_config

SETTING = re.compile(r'(\w+)\s*=')


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Print a config; see ``--help``."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', metavar='NAME')
    args = parser.parse_args(argv)
    try:
        path = find_config(args.name)
        text = flatten_config(path)
    except (OSError, ValueError) as error:
        print(f'{parser.prog}: {error}', file=sys.stderr)
        return 2
    print(text, end='')
    return 0


def flatten_config(path: Path) -> str:
    """Return the text of a config with all that it inherits.

    Args:
        path: File of the config.
    """
    cfg = read_config(path)
    cfg.setdefault('custom_imports', dict(imports=['mmseg_weakclip']))
    comments: dict[str, list[str]] = defaultdict(list)
    for file in iter_files(path):
        for key, lines in read_comments(file.read_text()).items():
            comments[key] += [li for li in lines if li not in comments[key]]
    lines = [f'# {path.name} with everything that it inherits.']
    lines += comments.pop('', [])
    for line in cfg.pretty_text.splitlines():
        setting = SETTING.match(line)
        if setting:
            lines += comments.pop(setting[1], [])
        lines.append(line)
    return '\n'.join(lines) + '\n'


def iter_files(path: Path) -> Iterator[Path]:
    """Yield the files that a config inherits from, then its own."""
    bases = Config._get_base_files(str(path))
    for base in [bases] if isinstance(bases, str) else bases:
        file, _ = Config._get_cfg_path(base, str(path))
        yield from iter_files(Path(file))
    yield path


def read_comments(text: str) -> dict[str, list[str]]:
    """Return the comments of a config, by the setting they belong to.

    Comments in front of a setting and inside of it are its own; those in
    front of ``_base_`` belong to the file, key ``''``.
    """
    found: dict[str, list[str]] = defaultdict(list)
    waiting: list[str] = []
    key, depth, at_start = '', 0, True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if 'noqa' in token.string or 'fmt:' in token.string:
                continue
            (waiting if not depth and at_start else found[key]).append(
                token.string
            )
        elif token.type == tokenize.NAME and at_start and not depth:
            key = '' if token.string == '_base_' else token.string
            found[key] += waiting
            waiting, at_start = [], False
        elif token.type == tokenize.OP:
            depth += (token.string in '([{') - (token.string in ')]}')
        elif token.type == tokenize.NEWLINE:
            at_start = True
    found[key] += waiting
    return found
