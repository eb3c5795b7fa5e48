"""Images and videos of the demo, and the files of their results."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg_weakclip.datasets.labels.image_labels import IMAGE_SUFFIXES

VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


@dataclass(frozen=True)
class Job:
    """One image or video to paint.

    Attributes:
        source: File of the image or video.
        output: File of the painted image or video.
        masks: File of an image's mask, or folder of a video's masks; None if
            masks are not asked for.
    """

    source: Path
    output: Path
    masks: Path | None

    @property
    def is_video(self) -> bool:
        """Whether the source is a video."""
        return _is_video(self.source)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEOS


def _is_known(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES + VIDEOS


def find_inputs(paths: Sequence[Path]) -> list[Path]:
    """Return files, and images and videos directly in folders, once each.

    Raises:
        FileNotFoundError: A path does not exist.
        ValueError: The suffix of a file is not one of an image or video, or
            a folder holds neither.
    """
    known = ' '.join(IMAGE_SUFFIXES + VIDEOS)
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f'{path} does not exist')
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if _is_known(p)]
            if not inside:
                raise ValueError(f'{path} holds no image or video ({known})')
            found += inside
        elif not _is_known(path):
            raise ValueError(
                f'{path} is not an image or video by its suffix ({known})'
            )
        else:
            found.append(path)
    return list({path.resolve(): path for path in found}.values())


def plan_jobs(
    sources: Sequence[Path], out: Path, out_masks: Path | None
) -> list[Job]:
    """Return a job for each source, results named by the source's stem.

    Args:
        sources: Files of images and videos.
        out: Folder of painted images (PNG) and videos (MP4).
        out_masks: Folder of masks; those of a video get a folder in it.

    Raises:
        ValueError: Two results would share a file, or a result would
            overwrite a source.
    """
    if out_masks is not None and out.resolve() == out_masks.resolve():
        raise ValueError(f'--out and --out-masks are both {out}')
    jobs, taken = [], {path.resolve(): path for path in sources}
    for source in sources:
        video = _is_video(source)
        output = out / f'{source.stem}{".mp4" if video else ".png"}'
        masks = None
        if out_masks is not None:
            masks = out_masks / (
                source.stem if video else f'{source.stem}.png'
            )
        for path in filter(None, (output, masks)):
            other = taken.setdefault(path.resolve(), source)
            if path.resolve() == other.resolve():
                raise ValueError(
                    f'the result of {source} would overwrite {other}: give '
                    'another folder'
                )
            if other != source:
                raise ValueError(
                    f'{other} and {source} would share {path}: run them one '
                    'by one, each into a folder of its own'
                )
        jobs.append(Job(source, output, masks))
    return jobs


def make_folder(folder: Path) -> None:
    """Make a folder, and check that files can be written into it.

    Raises:
        OSError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f'the folder {folder} cannot be written ({error.strerror})'
        ) from error


def make_folders(jobs: Sequence[Job]) -> None:
    """Make the folders of all results, before any work is done.

    Raises:
        OSError: A folder cannot be made or written.
    """
    folders: set[Path] = set()
    for job in jobs:
        folders.add(job.output.parent)
        if job.masks is not None:
            folders.add(job.masks if job.is_video else job.masks.parent)
    for folder in sorted(folders):
        make_folder(folder)
