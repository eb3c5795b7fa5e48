"""What the stages of a run share: its folder, data and machine."""

from dataclasses import dataclass, replace
from pathlib import Path

from mmseg_weakclip.apps.run_folder.index import ImageEntry, read_index

from .classes import ClassList
from .options import Options
from .preflight import choose_gpus, choose_workers


@dataclass(frozen=True)
class Run:
    """A run of the pipeline.

    Attributes:
        root: Of this repository, with ``configs/`` and ``tools/``.
        folder: Of the run.
        options: What the user asks for.
        classes: All classes.
        entries: All images; none before the data are prepared.
        gpus: Number that the stages use; 0 is the CPU.
        workers: Processes that load or refine.
    """

    root: Path
    folder: Path
    options: Options
    classes: ClassList
    entries: list[ImageEntry]
    gpus: int
    workers: int

    @classmethod
    def begin(
        cls, root: Path, folder: Path, options: Options, classes: ClassList
    ) -> 'Run':
        """A run on this machine, with the images of an earlier start.

        Raises:
            WrongUse: More GPUs are asked for than there are.
        """
        return cls(
            root=root,
            folder=folder,
            options=options,
            classes=classes,
            entries=read_index(folder / 'data'),
            gpus=choose_gpus(options.gpus),
            workers=choose_workers(),
        )

    def with_entries(self, entries: list[ImageEntry]) -> 'Run':
        """The same with other images."""
        return replace(self, entries=entries)

    @property
    def data(self) -> Path:
        return self.folder / 'data'

    @property
    def num_classes(self) -> int:
        """With the background."""
        return len(self.classes.names)

    def number(self, *splits: str) -> int:
        """Images in these splits."""
        return sum(entry.split in splits for entry in self.entries)

    @property
    def has_truth(self) -> bool:
        return any(entry.truth for entry in self.entries)
