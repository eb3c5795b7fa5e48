from .affinity import AttentionAffinity
from .base import TextHead, TrainingFreeCAMHead, TrainingFreeHead
from .classifier import CAMHead, multi_hot
from .grad_cam import GradCAMHead, softmax_grad_cam
from .patch_text import (
    PatchTextCAMHead,
    PatchTextHead,
    patch_text_similarity,
)

__all__ = [
    'AttentionAffinity',
    'CAMHead',
    'GradCAMHead',
    'PatchTextCAMHead',
    'PatchTextHead',
    'TextHead',
    'TrainingFreeCAMHead',
    'TrainingFreeHead',
    'multi_hot',
    'patch_text_similarity',
    'softmax_grad_cam',
]
