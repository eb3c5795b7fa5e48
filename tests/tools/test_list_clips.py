import json
from pathlib import Path

import open_clip

ROOT = Path(__file__).resolve().parents[2]


def test_docs_have_the_table(load_tool):
    table = load_tool('list_clips.py').make_table()
    page = (ROOT / 'docs/weights.md').read_text()
    begin, end = '<!-- clips -->\n', '\n<!-- end of clips -->'
    assert page.partition(begin)[2].partition(end)[0] == table


def test_models_that_others_added_are_not_listed(load_tool, tmp_path):
    path = tmp_path / 'added-by-a-user.json'
    path.write_text(json.dumps(open_clip.get_model_config('ViT-B-16')))
    open_clip.add_model_config(path)
    assert path.stem in open_clip.list_models()
    assert f'`{path.stem}`' not in load_tool('list_clips.py').make_table()
