"""True backgrounds of the scenes of a toyland on disk."""

import json
from pathlib import Path

from .scenes import SceneStyle, make_scene
from .textures import BACKGROUNDS
from .writer import SETTINGS, image_id, scene_seed


def scene_backgrounds(root: str | Path, split: str) -> dict[str, str]:
    """Return the background texture of each scene of a data set.

    The scenes are drawn again from the settings of the data set, because its
    files do not name the textures. That takes some milliseconds per scene.

    Args:
        root: Folder of the data set.
        split: ``'train'`` or ``'val'``.

    Returns:
        Name in ``BACKGROUNDS`` of each image id.

    Raises:
        FileNotFoundError: The folder does not hold a toyland.
        ValueError: There is no such split.
    """
    path = Path(root) / SETTINGS
    if not path.is_file():
        raise FileNotFoundError(
            f'{root} is not a toyland (it has no {SETTINGS}); '
            'tools/make_toyland.py makes one'
        )
    if split not in ('train', 'val'):
        raise ValueError(f"split={split!r} must be 'train' or 'val'")
    settings = json.loads(path.read_text())
    style = SceneStyle(**settings['style'])
    seed = scene_seed(split, settings['seed'])
    return {
        image_id(split, index): BACKGROUNDS[
            make_scene(seed, index, settings['size'], style).background
        ]
        for index in range(settings[split])
    }
