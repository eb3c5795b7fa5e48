"""What READMEs and docs/ print is there: files, flags, links, names."""

import argparse
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from mmseg_weakclip import parts
from mmseg_weakclip.apps.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        ROOT / 'README.md',
        ROOT / 'benchmarks/README.md',
        *(ROOT / 'configs').glob('*/README.md'),
        *(ROOT / 'docs').rglob('*.md'),
    ]
)
FOLDERS = 'benchmarks|configs|docs|mmseg_weakclip|requirements|tests|tools'
PATH = re.compile(
    rf'(?<![\w/.-])(?:{FOLDERS})/[\w./*-]+\.(?:py|sh|md|txt|ya?ml|json|png)\b'
)
TOOL = re.compile(r'(?<![\w/.-])(tools/[\w/]+\.(?:py|sh))([^`|\n]*)')
SCRIPTS = {
    'tools/dist_train.sh': 'tools/train.py',
    'tools/dist_test.sh': 'tools/test.py',
}
LINK = re.compile(r'!?\[[^\]]*\]\(([^)\s]+)\)')
COMMAND = re.compile(r'(?<![\w/.-])weakclip ([a-z][\w-]*)([^`|\n]*)')


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


EACH_PAGE = pytest.mark.parametrize('page', PAGES, ids=_name)


def _joined(page: Path) -> str:
    """A page's text, commands of several lines made one."""
    text = re.sub(r'\\\n\s*', ' ', page.read_text())
    # In running text, code goes on in the next line.
    return re.sub(
        r'`[^`\n]+\n[^`\n]+`', lambda match: match[0].replace('\n', ' '), text
    )


def _anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.M | re.S)
    headings = re.findall(r'^#+ (.+)$', text, re.M)
    return {
        re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
        for heading in headings
    }


@EACH_PAGE
def test_named_files_exist(page):
    named = set(PATH.findall(_joined(page)))
    # my_*.py is the reader's.
    named = {name for name in named if not Path(name).name.startswith('my_')}
    assert not [name for name in sorted(named) if not list(ROOT.glob(name))]


class _Parser(Exception):
    """Carries a tool's parser out of it."""


@pytest.fixture(scope='module')
def flags_of(load_tool) -> Callable[[str], set[str]]:
    """The flags that a tool knows, by its path."""

    def stop(parser: argparse.ArgumentParser, *args, **kwargs) -> None:
        raise _Parser(parser)

    @cache
    def find(tool: str) -> set[str]:
        if tool in COMMANDS:
            place = COMMANDS[tool][0]
            module = importlib.import_module(f'mmseg_weakclip.apps.{place}')
        else:
            module = load_tool(tool.removeprefix('tools/'))
        with pytest.MonkeyPatch.context() as patch:
            for name in ('parse_args', 'parse_known_args'):
                patch.setattr(argparse.ArgumentParser, name, stop)
            with pytest.raises(_Parser) as caught:
                module.main()
        return set(caught.value.args[0]._option_string_actions)

    return find


@EACH_PAGE
def test_flags_are_known_to_their_tool(page, flags_of):
    text = _joined(page)
    commands = COMMAND.findall(text)
    assert {name for name, _ in commands} <= set(COMMANDS)
    for tool, rest in TOOL.findall(text) + commands:
        tool = SCRIPTS.get(tool, tool)
        flags = set(re.findall(r'(?<![\w-])--[a-z][\w-]*', rest))
        if flags:
            assert flags <= flags_of(tool), tool


def test_a_flag_that_is_not_there_is_found(flags_of):
    assert '--tta' in flags_of('tools/test.py')
    assert '--bogus' not in flags_of('tools/test.py')


@EACH_PAGE
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text()):
        if link.startswith('https://'):
            continue
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


@pytest.mark.parametrize(
    'folder',
    sorted(path.parent for path in (ROOT / 'configs').glob('*/README.md')),
    ids=lambda folder: folder.name,
)
def test_readme_of_configs_names_each(folder):
    text = (folder / 'README.md').read_text()
    named = set(re.findall(r'`([\w.-]+\.py)`', text))
    assert named == {path.name for path in folder.glob('*.py')}


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> Path:
    """The built site; any warning is an error."""
    pytest.importorskip('material', reason='needs requirements/docs.txt')
    folder = tmp_path_factory.mktemp('site')
    done = subprocess.run(
        [
            sys.executable,
            '-m',
            'mkdocs',
            'build',
            '--strict',
            '--site-dir',
            str(folder),
        ],
        cwd=ROOT,
        env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_site_asks_for_nothing_from_elsewhere(site):
    pages = sorted(site.rglob('*.html'))
    assert len(pages) > 20
    loads = re.compile(
        r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:https?:)?//[^"]*"'
        r'|<link\b(?=[^>]*rel="?(?:stylesheet|preconnect|preload|icon))'
        r'[^>]*href="?(?:https?:)?//[^>]*>'
    )
    for page in pages:
        assert not loads.search(page.read_text()), page.name
    for sheet in site.rglob('*.css'):
        assert not re.search(r'url\("?(?:https?:)?//', sheet.read_text())


def test_reference_has_every_registered_part(site):
    pages = '\n'.join(
        page.read_text() for page in (site / 'reference').glob('*.html')
    )
    ids = set(re.findall(r'id="mmseg_weakclip[\w.]*\.(\w+)"', pages))
    # By their own names: some have an older one, too.
    assert {getattr(parts, name).__name__ for name in parts.__all__} <= ids


def test_no_role_is_left_in_the_reference(site):
    for page in (site / 'reference').glob('*.html'):
        assert not re.search(r':(?:func|class|meth):', page.read_text())
