"""Words for what images show, in which backgrounds are looked for."""

import json
from collections.abc import Sequence
from pathlib import Path


def read_background_words(
    source: str | Path | Sequence[str],
) -> tuple[str, ...]:
    """Words that may be found in images.

    Args:
        source: ``'open'``, a few hundred words for photographs,
            ``'toyland'``, a file with a word a line, or the words.

    Raises:
        ValueError: There is no such list or file.
    """
    if not isinstance(source, (str, Path)):
        return tuple(dict.fromkeys(source))
    path = Path(__file__).with_name('background_words.json')
    shipped = json.loads(path.read_text(encoding='utf-8'))
    if str(source) in shipped:
        return tuple(shipped[str(source)])
    if not Path(source).is_file():
        raise ValueError(
            f'there is no vocabulary {str(source)!r}: give one of '
            f'{sorted(shipped)}, a file with a word a line, or the words'
        )
    lines = Path(source).read_text(encoding='utf-8').splitlines()
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
