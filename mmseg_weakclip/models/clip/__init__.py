from .dense import PRESETS, DenseAttention, build_dense
from .dense_stream import DenseStream
from .proxy import TimmAffinity
from .regions import Groups, RegionEncoder, RegionTokens, find_regions
from .relation import (
    centred_similarity,
    dot_similarity,
    positive_softmax,
)
from .text import PromptText, TemplateText
from .text_bank import (
    TextBank,
    best_of_class,
    check_foreground_text,
    check_open_vocabulary,
)
from .text_tower import TextTower, Tokenizer, encode_prompts
from .tokens import CLIPTokens, find_tokens
from .tower import CLIPTower
from .vision import VisionTower
from .vit import CLIPViT
from .weights import add_local_model, load_clip, read_state_dict

__all__ = [
    'PRESETS',
    'TimmAffinity',
    'centred_similarity',
    'positive_softmax',
    'PromptText',
    'TemplateText',
    'TextBank',
    'TextTower',
    'Tokenizer',
    'CLIPTokens',
    'CLIPTower',
    'CLIPViT',
    'DenseAttention',
    'DenseStream',
    'Groups',
    'RegionEncoder',
    'RegionTokens',
    'VisionTower',
    'add_local_model',
    'best_of_class',
    'build_dense',
    'check_foreground_text',
    'check_open_vocabulary',
    'encode_prompts',
    'dot_similarity',
    'find_regions',
    'find_tokens',
    'load_clip',
    'read_state_dict',
]
