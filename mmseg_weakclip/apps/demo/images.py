"""Pictures and videos in, painted ones out."""

import io
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.images import read_color_image, read_image_size
from mmseg_weakclip.common.overlay import paint_frame, paint_overlay

from .inputs import Job
from .segmenter import Segmenter
from .video import Video, write_video

DIGITS = 6


def segment_images(
    segmenter: Segmenter,
    jobs: Sequence[Job],
    batch_size: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Paint pictures; write their masks where asked to.

    Args:
        segmenter: The model.
        jobs: Pictures. Their folders are there.
        batch_size: How many of one size go through the model at once.
        progress: Is told how many pictures have been done since it was told
            last.

    Raises:
        OSError: A picture can't be read, or a result can't be written.
        ValueError: A picture is damaged.
    """
    for batch in _batches(jobs, batch_size):
        paths = [str(job.source) for job, _ in batch]
        masks = segmenter.predict([image for _, image in batch], paths)
        for (job, image), mask in zip(batch, masks):
            picture = paint_overlay(
                image[..., ::-1],
                segmenter.visible(mask),
                segmenter.classes,
                segmenter.palette,
            )
            buffer = io.BytesIO()
            picture.save(buffer, format='PNG')
            write_atomically(job.output, buffer.getvalue())
            if job.masks is not None:
                write_atomically(job.masks, segmenter.encode(mask))
        progress(len(batch))


def _batches(
    jobs: Sequence[Job], batch_size: int
) -> Iterator[list[tuple[Job, np.ndarray]]]:
    """Decoded pictures, those of one size together."""
    if batch_size > 1:
        jobs = sorted(jobs, key=lambda job: read_image_size(str(job.source)))
    batch: list[tuple[Job, np.ndarray]] = []
    for job in jobs:
        image = read_color_image(str(job.source))
        full = len(batch) == batch_size
        if batch and (full or image.shape != batch[0][1].shape):
            yield batch
            batch = []
        batch.append((job, image))
    if batch:
        yield batch


def segment_video(
    segmenter: Segmenter,
    video: Video,
    job: Job,
    every: int = 1,
    batch_size: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Paint a video, of the same size and speed, without its sound.

    Masks, where asked for, are ``000000.png``, by the number of the frame.

    Args:
        segmenter: The model.
        video: Freshly opened.
        job: Where results go. Its folders are there.
        every: One frame of so many is segmented; the others are painted with
            the mask of the last one.
        batch_size: How many frames go through the model at once;
            ``batch_size`` x ``every`` are held in memory.
        progress: Is told how many frames have been done since it was told
            last.

    Raises:
        OSError: A result can't be written.
        ValueError: The video has no frames.
    """
    frames = video.frames()
    done = 0
    with write_video(job.output, video.fps) as write:
        while chunk := list(itertools.islice(frames, every * batch_size)):
            chosen = chunk[::every]
            masks = segmenter.predict(chosen, [str(job.source)] * len(chosen))
            for index, frame in enumerate(chunk):
                write(_paint(segmenter, frame, masks[index // every]))
            if job.masks is not None:
                for index, mask in enumerate(masks):
                    number = done + index * every
                    path = job.masks / f'{number:0{DIGITS}}.png'
                    write_atomically(path, segmenter.encode(mask))
            done += len(chunk)
            progress(len(chunk))


def _paint(
    segmenter: Segmenter, frame: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    painted = paint_frame(
        frame[..., ::-1],
        segmenter.visible(mask),
        segmenter.classes,
        segmenter.palette,
    )
    return np.ascontiguousarray(painted[..., ::-1])
