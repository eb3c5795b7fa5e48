"""Toyland: a small synthetic data set on which every system runs on a CPU.

Importing it registers its CLIP and its class names.
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
