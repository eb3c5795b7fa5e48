"""The README's commands, run as they are printed, in an empty folder.

Only the batches of the segmenter are smaller.
"""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from mmseg_weakclip.apps.cli import main

BLOCK = re.compile(r'^(?: {4}.+\n)+', re.M)
# Pip is run by `make`, and the photos' command needs CLIP's weights.
NOT_RUN = ('pip install', 'weakclip run --images photos')
SMALL = ('--batch-size', '2')


def commands(readme: Path) -> list[str]:
    """Return the commands that a README prints, in their order."""
    text = re.sub(r'^```.*?^```', '', readme.read_text(), flags=re.M | re.S)
    found = []
    for block in BLOCK.findall(text):
        lines = re.sub(r'\\\n\s*', '', block).splitlines()
        found += [
            line.strip()
            for line in lines
            if line.strip().startswith(('pip ', 'weakclip ', 'make '))
        ]
    return found


@pytest.fixture(scope='module')
def shell(weakclip_run, weakclip_fork, tmp_path_factory):
    """Run a command line in one folder; returns what it prints."""
    folder = tmp_path_factory.mktemp('readme')

    def run(line: str) -> str:
        words = shlex.split(line)
        assert words.pop(0) == 'weakclip'
        path = folder / words.pop() if '>' in words else None
        if path:
            assert words.pop() == '>'
        if words[0] == 'run':
            code, out, err = weakclip_run(*words[1:], *SMALL, cwd=folder)
        elif words[0] == 'config':
            out, err = io.StringIO(), ''
            with contextlib.redirect_stdout(out):
                code = main(words)
            out = out.getvalue()
        else:
            code, out = weakclip_fork(*words, cwd=folder)
            err = ''
        assert code == 0, f'{line}\n{out}{err}'
        if path:
            path.write_text(out)
        return out

    run.folder = folder
    return run


def test_every_command(shell, repo):
    lines = commands(repo / 'README.md')
    assert len(lines) == 7
    for line in lines:
        if not line.startswith(NOT_RUN):
            shell(line)
    out = shell.folder / 'toy/out'
    assert (out / 'report.html').is_file()
    assert len(list((out / 'results/predictions').iterdir())) == 50
    assert 'CLIPViT' in (shell.folder / 'my_weakclip.py').read_text()


def test_the_photos_command_is_planned(shell, repo):
    """With the README's own folder and table; nothing is run."""
    (line,) = [
        line for line in commands(repo / 'README.md')
        if line.startswith(NOT_RUN[1])
    ]  # fmt: skip
    text = (repo / 'README.md').read_text()
    table = re.search(r'^ {4}image,labels\n(?: {4}.+\n)+', text, re.M)[0]
    rows = [row.strip() for row in table.splitlines()]
    for row in rows[1:]:
        path = shell.folder / 'photos' / row.partition(',')[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (64, 48)).save(path, format='JPEG')
    (shell.folder / 'labels.csv').write_text('\n'.join(rows))
    said = shell(f'{line} --dry-run')
    assert 'train the segmenter' in said
    assert '2 images' in said
