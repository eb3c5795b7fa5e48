"""Toyland: a small world on which every system runs on a CPU."""

from pathlib import Path

from ..models.clip.weights import add_local_model
from .backgrounds import scene_backgrounds
from .captions import TAGS, write_caption
from .objects import CLASSES, USUAL_BACKGROUND
from .scenes import Scene, SceneStyle, draw_scene, make_scene
from .textures import BACKGROUNDS

add_local_model(
    Path(__file__).with_name('toyclip.json'),
    tag='toyland',
    weights=Path(__file__).with_name('toyclip.safetensors'),
)

__all__ = [
    'BACKGROUNDS',
    'CLASSES',
    'TAGS',
    'USUAL_BACKGROUND',
    'Scene',
    'SceneStyle',
    'draw_scene',
    'make_scene',
    'scene_backgrounds',
    'write_caption',
]
