"""Fill the tables of figures in READMEs and docs from the metafiles.

    python tools/make_tables.py --check

A figure stands once, in the Results of a model or a collection in
configs/*/metafile.yml. A page shows a table of them between two comments:

    <!-- figures: NAME -->
    <!-- end -->

A result belongs to the tables in its Tables, by default the one named as its
collection. Its column is its Dataset; its row is its Setting (by default the
name of the model), with what the name of the metric has in parentheses.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mmseg_weakclip.common.files import write_atomically

PAGES = (
    'README.md',
    'benchmarks/README.md',
    'configs/*/README.md',
    'docs/**/*.md',
)
BEGIN, END = '<!-- figures: ', '<!-- end -->'
BLOCK = re.compile(
    rf'^{BEGIN}(?P<name>.+?) -->\n'
    rf'(?:(?!{BEGIN}).)*?'
    rf'^{END}$',
    re.MULTILINE | re.DOTALL,
)
# A row: what was measured, and who says so. Its cells: data set -> figure.
Row = tuple[str, str]
Table = dict[Row, dict[str, str]]


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing; name the pages that differ and exit with 1',
    )
    parser.add_argument(
        '--root',
        type=Path,
        default=Path(__file__).resolve().parents[1],
        metavar='DIR',
        help='the checkout (default: the one of this script)',
    )
    return parser.parse_args(args)


def read_metafiles(root: Path) -> list[dict[str, Any]]:
    """Read the metafiles that model-index.yml lists.

    Scalars stay text, so that 52.60 keeps its zero.
    """

    def load(path: Path) -> dict[str, Any]:
        return yaml.load(path.read_text('utf-8'), yaml.BaseLoader)

    return [
        load(root / path) for path in load(root / 'model-index.yml')['Import']
    ]


def label_row(setting: str, metric: str) -> str:
    """Join a setting and the parentheses of a metric's name.

    'ExCEL' and 'mIoU (multi-scale)' make 'ExCEL, multi-scale'.
    """
    extra = re.sub(r'^mIoU ?|[()]', '', metric)
    return f'{setting}, {extra}' if extra else setting


def cite(source: str, paper: str | None) -> str:
    """Link a source that begins with 'paper' to the paper."""
    if paper is None:
        return source
    return re.sub(r'^paper\b', f'[paper]({paper})', source)


def collect_tables(metafiles: list[dict[str, Any]]) -> dict[str, Table]:
    """Sort all results into tables, those of models first.

    Raises:
        ValueError: Two results have the same place in a table.
    """
    collections = [
        c for file in metafiles for c in file.get('Collections', [])
    ]
    models = [m for file in metafiles for m in file.get('Models', [])]
    papers = {c['Name']: c.get('Paper', {}).get('URL') for c in collections}
    tables: dict[str, Table] = {}
    for entry in models + collections:
        collection = entry.get('In Collection', entry['Name'])
        for result in entry.get('Results', []):
            setting = result.get('Setting', entry['Name'])
            source = cite(result['Source'], papers[collection])
            column = result['Dataset'].removeprefix('PASCAL ')
            for name in result.get('Tables', [collection]):
                table = tables.setdefault(name, {})
                for metric, figure in result['Metrics'].items():
                    row = label_row(setting, metric), source
                    cells = table.setdefault(row, {})
                    if column in cells:
                        raise ValueError(
                            f'table {name!r} has two figures for {row[0]!r} '
                            f'on {column!r}: {cells[column]} and {figure}; '
                            'give one of them another Setting'
                        )
                    cells[column] = figure
    return tables


def format_table(table: Table) -> str:
    """Write a table as Markdown: VOC first, then data sets as they come."""
    found = dict.fromkeys(name for cells in table.values() for name in cells)
    columns = sorted(found, key=lambda name: not name.startswith('VOC'))
    rows = [['', *columns, 'source']]
    for (label, source), cells in table.items():
        figures = [cells.get(name, '') for name in columns]
        rows.append([label, *figures, source])
    head, *body = [
        '|' + ''.join(f' {cell} |' if cell else ' |' for cell in row)
        for row in rows
    ]
    return '\n'.join([head, '|---' * len(rows[0]) + '|', *body, ''])


def fill_page(text: str, tables: dict[str, Table]) -> str:
    """Put each table of a page between its comments.

    Raises:
        ValueError: A name is unknown, or a table has no end.
    """

    def fill(match: re.Match[str]) -> str:
        name = match['name']
        if name not in tables:
            known = ', '.join(sorted(tables))
            raise ValueError(f'unknown table {name!r}; known are {known}')
        return f'{BEGIN}{name} -->\n\n{format_table(tables[name])}\n{END}'

    if text.count(BEGIN) != len(BLOCK.findall(text)):
        raise ValueError(
            f'a line {BEGIN}NAME --> without a line {END} after it'
        )
    return BLOCK.sub(fill, text)


def find_outdated(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the pages that differ from the metafiles, with their new text.

    Raises:
        ValueError: A page can't be filled.
    """
    tables = collect_tables(read_metafiles(root))
    for page in sorted({p for glob in PAGES for p in root.glob(glob)}):
        text = page.read_text('utf-8')
        try:
            filled = fill_page(text, tables)
        except ValueError as error:
            raise ValueError(f'{page.relative_to(root)}: {error}') from None
        if filled != text:
            yield page, filled


def main(args: list[str] | None = None) -> int:
    options = parse_args(args)
    try:
        outdated = list(find_outdated(options.root))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for page, text in outdated:
        name = page.relative_to(options.root)
        if options.check:
            print(
                f'{name} differs from the metafiles; run '
                'python tools/make_tables.py',
                file=sys.stderr,
            )
        else:
            write_atomically(page, text.encode())
            print(f'{name} written')
    return int(options.check and bool(outdated))


if __name__ == '__main__':
    sys.exit(main())
