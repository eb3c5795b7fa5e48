from .affinity import AttentionAffinity
from .base import TextHead, TrainingFreeCAMHead, TrainingFreeHead
from .classifier import CAMHead, multi_hot
from .deeplab import DeepLabV1Head, DeepLabV2Head
from .grad_cam import GradCAMHead, softmax_grad_cam
from .patch_text import (
    PatchTextCAMHead,
    PatchTextHead,
    patch_text_similarity,
)
from .resnet38d import ResNet38d

__all__ = [
    'AttentionAffinity',
    'CAMHead',
    'DeepLabV1Head',
    'DeepLabV2Head',
    'GradCAMHead',
    'PatchTextCAMHead',
    'PatchTextHead',
    'ResNet38d',
    'TextHead',
    'TrainingFreeCAMHead',
    'TrainingFreeHead',
    'multi_hot',
    'patch_text_similarity',
    'softmax_grad_cam',
]
