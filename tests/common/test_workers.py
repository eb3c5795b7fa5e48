import threading

from mmseg_weakclip.apps.wsss.launch.execute import describe_progress
from mmseg_weakclip.common.workers import progress_bar


def test_files_get_few_lines(capsys):
    assert list(progress_bar('x', 9000, iter(range(9000)))) == [*range(9000)]
    updates = capsys.readouterr().err.split('\r')
    assert len(updates) < 9
    assert updates[-1].startswith('x: 100%')
    assert '9000/9000' in updates[-1]
    assert updates[-1].endswith('\n')


def test_counted_by_hand(capsys):
    with progress_bar('x', 10) as bar:
        bar.update(4)
        bar.update(6)
    assert '10/10' in capsys.readouterr().err


def test_no_thread_is_left(capsys):
    before = threading.active_count()
    with progress_bar('x', 10) as bar:
        bar.update(1)
        assert threading.active_count() == before


def test_nothing_to_do(capsys):
    assert list(progress_bar('x', 0, [])) == []


def test_no_total(capsys):
    with progress_bar('x', None) as bar:
        bar.update(3)
    assert '3it' in capsys.readouterr().err


def test_the_one_command_reads_it(capsys):
    with progress_bar('x', 100) as bar:
        bar.update(50)
        bar.refresh()
    notes = map(describe_progress, capsys.readouterr().err.split('\r'))
    assert any(note and note.startswith('50/100, 00:0') for note in notes)
