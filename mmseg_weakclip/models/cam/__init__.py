from .affinity import AttentionAffinity
from .base import TrainingFreeCAMHead, TrainingFreeHead
from .grad_cam import GradCAMHead, softmax_grad_cam
from .patch_text import (
    PatchTextCAMHead,
    PatchTextHead,
    patch_text_similarity,
)

__all__ = [
    'AttentionAffinity',
    'GradCAMHead',
    'PatchTextCAMHead',
    'PatchTextHead',
    'TrainingFreeCAMHead',
    'TrainingFreeHead',
    'patch_text_similarity',
    'softmax_grad_cam',
]
