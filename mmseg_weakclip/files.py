"""Files that are either whole or not there."""

import os
import tempfile
from pathlib import Path


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file under its name only when all of it is on the disk.

    Raises:
        OSError: The disk is full or the folder can't be written; nothing is
            left behind under the name or beside it.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f'.{path.name}.'
    )
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data)
        os.chmod(temporary, 0o644)  # mkstemp keeps others from reading
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(
                error.errno,
                f'{path} could not be written ({error.strerror}); '
                'what is there of it was removed',
            ) from error
        raise
