"""Segmentation of images and videos into painted files and masks."""

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
    """Paint images, and write their masks where asked for.

    Args:
        segmenter: Model that predicts the masks.
        jobs: Images, and files of their results, in existing folders.
        batch_size: Number of images of one size per batch.
        progress: Called with the number of images done since its last call.

    Raises:
        OSError: An image cannot be read, or a result cannot be written.
        ValueError: An image is damaged.
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
    """Yield batches of decoded images, each of one size."""
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

    Masks, where asked for, are named by the frame: ``000000.png``.

    Args:
        segmenter: Model that predicts the masks.
        video: Video of which no frame has been read.
        job: Files of the results, in existing folders.
        every: Interval of segmented frames; the others are painted with the
            mask of the last one.
        batch_size: Number of frames per batch; ``batch_size`` x ``every``
            are held in memory.
        progress: Called with the number of frames done since its last call.

    Raises:
        OSError: A result cannot be written.
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
