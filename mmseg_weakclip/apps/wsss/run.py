"""Settings that the stages of a run share: folder, data, machine, profile."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.run_folder.schema import DATA, RunImage
from mmseg_weakclip.apps.run_folder.store import load_images
from mmseg_weakclip.common.resources import resource_root

from .inputs.classes import ClassList
from .options import Options
from .preflight import choose_gpus, choose_workers

FOLDER = 'configs/_base_/profiles'
DEFAULT = 'photos'


@dataclass(frozen=True)
class Profile:
    """A set of base configs, chosen by ``--profile``.

    Attributes:
        name: Stem of the profile's file.
        bases: Config of each stage of a method, relative to ``configs/``.
        crf: Preset or parameters of the dense CRF.
        clip: CLIP that the configs are made for; None if the configs name it.
    """

    name: str
    bases: dict[str, str]
    crf: str | dict[str, Any]
    clip: str | None = None


@cache
def load_profiles(root: Path) -> dict[str, Profile]:
    """Return all profiles by name.

    Args:
        root: Folder that holds ``configs/``.
    """
    profiles = {}
    for path in sorted((root / FOLDER).glob('*.py')):
        content = Config.fromfile(path).to_dict()
        profiles[path.stem] = Profile(path.stem, **content)
    return profiles


def choose_profile(options: Options) -> Profile:
    """Return the profile that a user names, or that a CLIP is made for.

    Raises:
        UserError: The name of the profile is unknown.
    """
    profiles = load_profiles(resource_root())
    if options.profile is not None:
        if options.profile not in profiles:
            raise UserError(
                f'--profile {options.profile} is unknown; known: '
                f'{", ".join(profiles)}'
            )
        return profiles[options.profile]
    for profile in profiles.values():
        if profile.clip is not None and profile.clip == options.clip:
            return profile
    return profiles[DEFAULT]


@dataclass(frozen=True)
class Run:
    """A run of the pipeline on this machine.

    Attributes:
        root: Folder that holds ``configs/``.
        folder: Folder of the run.
        options: Options of the user.
        classes: All classes.
        images: All images; empty before the data is prepared.
        gpus: Number of GPUs that the stages use; 0 is the CPU.
        workers: Number of processes that load or refine.
    """

    root: Path
    folder: Path
    options: Options
    classes: ClassList
    images: list[RunImage]
    gpus: int
    workers: int

    @property
    def profile(self) -> Profile:
        """Configs that the stages start from."""
        return choose_profile(self.options)

    @classmethod
    def begin(
        cls, folder: Path, options: Options, classes: ClassList
    ) -> 'Run':
        """Return a run on this machine, with the images of an earlier start.

        Raises:
            UserError: The machine has fewer GPUs than the options ask for.
        """
        return cls(
            root=resource_root(),
            folder=folder,
            options=options,
            classes=classes,
            images=load_images(folder),
            gpus=choose_gpus(options.gpus),
            workers=choose_workers(),
        )

    def with_images(self, images: list[RunImage]) -> 'Run':
        """Return the same run with other images."""
        return replace(self, images=images)

    @property
    def data(self) -> Path:
        """Folder of the data."""
        return self.folder / DATA

    @property
    def num_classes(self) -> int:
        """Number of classes, with the background."""
        return len(self.classes.names)

    def number(self, *splits: str) -> int:
        """Return the number of images in some splits."""
        return sum(image.split in splits for image in self.images)

    @property
    def has_truth(self) -> bool:
        """Whether any image has a mask for scores."""
        return any(image.truth for image in self.images)
