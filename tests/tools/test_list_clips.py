from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_docs_have_the_table(load_tool):
    table = load_tool('list_clips.py').make_table()
    page = (ROOT / 'docs/weights.md').read_text()
    begin, end = '<!-- clips -->\n', '\n<!-- end of clips -->'
    assert page.partition(begin)[2].partition(end)[0] == table
