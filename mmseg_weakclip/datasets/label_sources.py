"""What the readers of image labels share."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

# Wraps the files that a reader goes through, e.g. to show progress.
Track = Callable[[Sequence[Path]], Iterable[Path]]


def require_classes(
    path: str | Path, classes: Sequence[str] | None
) -> Sequence[str]:
    """The class list, where a format does not bring its own."""
    if classes is None:
        raise ValueError(
            f'{path} does not say which classes there are: give the class '
            'list (--classes of the tool).'
        )
    return classes


def load_json(path: str | Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: The file is no JSON, or not an object.
    """
    try:
        data = json.loads(Path(path).read_text(encoding='utf-8-sig'))
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON: {error}.') from error
    if not isinstance(data, dict):
        raise ValueError(
            f'{path} holds a {type(data).__name__}, not an object whose keys '
            'are image ids.'
        )
    return data


def listed_files(
    folder: str | Path, suffix: str, ids: Sequence[str] | None
) -> list[Path]:
    """The files ``<id><suffix>`` of a folder, all or those of ``ids``.

    Raises:
        FileNotFoundError: No such file, or some of them are missing.
    """
    folder = Path(folder)
    if ids is None:
        files = sorted(folder.glob(f'*{suffix}'))
        if not files:
            raise FileNotFoundError(f'{folder} holds no *{suffix} file.')
        return files
    files = [folder / f'{image_id}{suffix}' for image_id in ids]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(files)} listed files are missing, the '
            f'first is {missing[0]}.'
        )
    return files
