"""Toyland: a small world on which every system runs on a CPU.

Importing it makes its CLIP and its class names known.
"""

from pathlib import Path

from mmseg_weakclip.common.names import register_vocabulary
from mmseg_weakclip.models.clip.local_models import add_local_model

from .objects import CLASSES

register_vocabulary('toyland', CLASSES)
add_local_model(
    Path(__file__).with_name('toyclip.json'),
    tag='toyland',
    weights=Path(__file__).with_name('toyclip.safetensors'),
)
