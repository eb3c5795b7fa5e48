from .dense import DenseAttention, DenseStream, build_dense
from .text import PromptText, TemplateText
from .text_bank import TextBank
from .tokens import CLIPTokens
from .tower import CLIPTower
from .vision import VisionTower
from .vit import CLIPViT
from .weights import add_local_model, load_clip, read_state_dict

__all__ = [
    'PromptText',
    'TemplateText',
    'TextBank',
    'CLIPTokens',
    'CLIPTower',
    'CLIPViT',
    'DenseAttention',
    'DenseStream',
    'VisionTower',
    'add_local_model',
    'build_dense',
    'load_clip',
    'read_state_dict',
]
