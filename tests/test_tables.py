"""Tables of figures are those of the metafiles (tools/make_tables.py)."""

import shutil
from pathlib import Path

import pytest

EXCEL = 'configs/excel/metafile.yml'
README = 'configs/excel/README.md'
REPRODUCE = 'docs/reproduce.md'


@pytest.fixture
def tables(load_tool):
    return load_tool('make_tables.py')


@pytest.fixture
def checkout(repo, tmp_path) -> Path:
    """A copy of the metafiles and of the pages of ExCEL."""
    names = [
        'model-index.yml',
        README,
        REPRODUCE,
        *(path.relative_to(repo) for path in repo.glob('*/*/metafile.yml')),
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repo / name, tmp_path / name)
    return tmp_path


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_tables_are_those_of_the_metafiles(tables, capsys):
    assert tables.main(['--check']) == 0, capsys.readouterr().err


def test_another_figure_is_found_and_written(tables, checkout, capsys):
    args = ['--root', str(checkout)]
    assert tables.main([*args, '--check']) == 0
    old = (checkout / README).read_text()
    _replace(checkout / EXCEL, ': 78.4', ': 12.30')
    assert tables.main([*args, '--check']) == 1
    named = capsys.readouterr().err
    assert README in named
    assert REPRODUCE in named
    assert (checkout / README).read_text() == old
    assert tables.main(args) == 0
    assert '| ExCEL, multi-scale | 12.30 |' in (checkout / README).read_text()
    assert tables.main([*args, '--check']) == 0


@pytest.mark.parametrize('flags', [[], ['--check']])
@pytest.mark.parametrize(
    ('old', 'new', 'said'),
    [
        (
            'figures: WeCLIP',
            'figures: WeClip',
            ("'WeClip'", 'WeCLIP'),
        ),
        ('<!-- end -->', '', ('figures: NAME', 'end')),
    ],
    ids=['unknown name', 'no end'],
)
def test_page_that_cannot_be_filled(
    tables, checkout, capsys, flags, old, new, said
):
    page = checkout / REPRODUCE
    _replace(page, old, new)
    _replace(checkout / EXCEL, '78.4', '12.3')
    text = page.read_text()
    assert tables.main(['--root', str(checkout), *flags]) == 2
    error = capsys.readouterr().err
    for part in (REPRODUCE, *said):
        assert part in error
    # Nothing is written when one page is wrong.
    assert page.read_text() == text
    assert '78.4' in (checkout / README).read_text()


def test_two_figures_in_one_place(tables, checkout, capsys):
    _replace(
        checkout / EXCEL,
        'Dataset: PASCAL VOC 2012 test',
        'Dataset: PASCAL VOC 2012 val',
    )
    assert tables.main(['--root', str(checkout)]) == 2
    assert "table 'ExCEL' has two figures for" in capsys.readouterr().err


def test_published_figures_stand_in_no_other_table(tables, repo):
    figures = {
        figure
        for name, table in tables.collect_tables(
            tables.read_metafiles(repo)
        ).items()
        if name != 'Toyland'
        for cells in table.values()
        for figure in cells.values()
    }
    assert {'78.4', '52.60', '77.1 to 77.5'} <= figures
    for page in [*repo.glob('configs/*/README.md'), repo / REPRODUCE]:
        rest = tables.BLOCK.sub('', page.read_text())
        cells = {
            cell.strip()
            for line in rest.splitlines()
            if line.startswith('|')
            for cell in line.split('|')
        }
        assert not cells & figures, page
