"""Reading and writing of videos with OpenCV."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

CODEC = 'mp4v'


class Video:
    """A video file, read once from its beginning to its end.

    Attributes:
        fps: Frames per second.
        stated: Number of frames that the file states; 0 if it does not.
        read: Number of frames that have been read.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file cannot be opened as a video.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f'{path} does not exist')
        self.path = path
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise ValueError(f'{path} cannot be opened as a video')
        self.fps = self._capture.get(cv2.CAP_PROP_FPS)
        if not 0 < self.fps < float('inf'):
            raise ValueError(f'{path} does not state its frame rate')
        self.stated = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.read = 0

    @property
    def ends_early(self) -> bool:
        """Whether there were fewer frames than stated."""
        return self.read < self.stated

    def frames(self) -> Iterator[np.ndarray]:
        """Yield BGR images, uint8, (H, W, 3), all of one size.

        Raises:
            ValueError: The video has no frame that can be read.
        """
        while True:
            there, frame = self._capture.read()
            if not there:
                break
            self.read += 1
            yield frame
        self._capture.release()
        if not self.read:
            raise ValueError(f'{self.path} has no frame that can be read')


@contextmanager
def write_video(
    path: Path, fps: float
) -> Iterator[Callable[[np.ndarray], None]]:
    """Write an MP4 under its name only when all of it is on the disk.

    MPEG-4 has even sides only: an odd one loses its last row or column.

    Args:
        path: File, ending in ``.mp4``, in an existing folder.
        fps: Frames per second.

    Yields:
        A function that takes the next frame, BGR, uint8, (H, W, 3).

    Raises:
        OSError: The file cannot be written; nothing is left behind.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.') as folder:
        temporary = Path(folder) / path.name
        writer = cv2.VideoWriter()
        written = 0

        def write(frame: np.ndarray) -> None:
            nonlocal written
            if not writer.isOpened():
                size = frame.shape[1], frame.shape[0]
                code = cv2.VideoWriter.fourcc(*CODEC)
                if not writer.open(str(temporary), code, fps, size):
                    raise OSError(
                        f'this OpenCV cannot write {path} with the codec '
                        f'{CODEC}'
                    )
            writer.write(frame)
            written += 1

        try:
            yield write
        finally:
            writer.release()
        # OpenCV does not report a full disk.
        there = count_frames(temporary)
        if there != written:
            raise OSError(
                f'{path} could not be written: {there} of {written} frames '
                'are there. Is the disk full?'
            )
        os.replace(temporary, path)


def count_frames(path: Path) -> int:
    """Return how many frames a video's header states; 0 if unreadable."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        return 0
    return max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
