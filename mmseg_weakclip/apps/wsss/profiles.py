"""Profiles: which configs a run starts from, and the settings beside them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.common.resources import resource_root

from .options import Options

FOLDER = 'configs/_base_/profiles'
DEFAULT = 'photos'


@dataclass(frozen=True)
class Profile:
    """What ``--profile`` names.

    Attributes:
        name: Stem of its file.
        bases: Config of each stage of a method, below ``configs/``.
        crf: Preset or parameters of the dense CRF.
        clip: CLIP that the configs are made for; None if they name it.
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
        UserError: There is no profile of that name.
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
