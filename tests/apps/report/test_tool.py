"""tools/report.py from the command line."""

import runpy
import sys

import pytest


@pytest.fixture
def run(repo, monkeypatch, capsys):
    """Run the tool; returns exit code, output and errors."""

    def run(*arguments):
        tool = str(repo / 'tools/report.py')
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        try:
            runpy.run_path(tool, run_name='__main__')
            code = 0
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


def test_it_writes_the_page(run, run_folder, tmp_path):
    code, text, _ = run(run_folder)
    assert code == 0
    assert str(run_folder / 'report.html') in text
    assert (run_folder / 'report.html').stat().st_size > 10_000
    other = tmp_path / 'other.html'
    assert run(run_folder, '--images', 1, '--out', other)[0] == 0
    assert other.read_text().count('<article') == 1


def test_one_line_and_exit_code_2(run, run_folder, tmp_path):
    (run_folder / 'masks/masks/a.png').write_bytes(b'no image')
    for arguments, message in (
        ((tmp_path / 'nothing',), 'nothing is not a folder'),
        ((tmp_path,), 'manifest.json cannot be read'),
        ((run_folder,), 'a.png is damaged'),
    ):
        code, _, errors = run(*arguments)
        assert code == 2
        assert errors.startswith('weakclip report: ')
        assert message in errors
        assert errors.count('\n') == 1
    code, _, errors = run(run_folder, '--images', -1)
    assert code == 2
    assert '--images -1 is less than 0' in errors


def test_a_page_that_cannot_be_written(run, run_folder, tmp_path):
    code, _, errors = run(run_folder, '--out', tmp_path / 'no/page.html')
    assert code == 2
    assert 'no/' in errors
    assert errors.count('\n') == 1
