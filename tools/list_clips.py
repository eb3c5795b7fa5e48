"""List which models of open_clip can be used, as a table for the docs.

    python tools/list_clips.py

``docs/weights.md`` holds the output between two comments.
"""

import re
from pathlib import Path

import open_clip

from mmseg_weakclip.models.clip.model_config import find_config_problem

HF = "`pip install 'mmseg_weakclip[hf]'`"


CONFIGS = Path(open_clip.__file__).parent / 'model_configs'
"""What open_clip brings along; other code may have added models to it."""


def describe(name: str) -> tuple[bool, str]:
    """Return whether a model is built, and what it needs or why not."""
    config = open_clip.get_model_config(name)
    if problem := find_config_problem(config):
        # One row for a family.
        return False, re.sub(r"timm's \S+, ", "timm's, ", problem)
    text = config['text_cfg']
    if text.get('hf_model_name'):
        return True, f'text tower and tokenizer of transformers: {HF}'
    if text.get('hf_tokenizer_name'):
        return True, f'tokenizer of transformers: {HF}'
    return True, ''


def make_table() -> str:
    """Return a table of all of open_clip's models in Markdown."""
    groups: dict[tuple[bool, str], list[str]] = {}
    for name in open_clip.list_models():
        if (CONFIGS / f'{name}.json').is_file():
            groups.setdefault(describe(name), []).append(f'`{name}`')
    rows = sorted(groups.items(), key=lambda row: (not row[0][0], row[0][1]))
    lines = ['| number | models | |', '|---|---|---|']
    for (built, note), names in rows:
        status = 'built' if built else 'refused'
        lines.append(
            f'| {len(names)} {status} | {", ".join(names)} | {note} |'
        )
    return '\n'.join(lines)


if __name__ == '__main__':
    print(make_table())
