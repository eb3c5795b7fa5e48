"""One run at a time in a folder."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .problems import WrongUse

# For the processes of a killed run to notice that it is gone, in seconds.
PATIENCE = 20.0


@contextmanager
def lock_folder(folder: Path, patience: float = PATIENCE) -> Iterator[int]:
    """Hold a folder; the tools of the stages hold it with this process.

    Args:
        folder: Of the run.
        patience: Seconds to wait for whoever holds it.

    Yields:
        The file descriptor that tools must keep open.

    Raises:
        WrongUse: Another process still works there.
    """
    path = folder / '.lock'
    with path.open('w') as file:
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > end:
                    raise WrongUse(
                        f'another process works in {folder}; wait for it or '
                        'stop it'
                    ) from None
                time.sleep(0.2)
        yield file.fileno()
