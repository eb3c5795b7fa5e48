from .affinity import AttentionAffinity
from .base import TrainingFreeCAMHead
from .grad_cam import GradCAMHead
from .patch_text import PatchTextCAMHead

__all__ = [
    'AttentionAffinity',
    'GradCAMHead',
    'PatchTextCAMHead',
    'TrainingFreeCAMHead',
]
