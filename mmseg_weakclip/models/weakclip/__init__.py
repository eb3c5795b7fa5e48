from .co_attention import CoAttentionNeck
from .decoder import CoAttention
from .head import TextGuidedHead, TextScoreHead
from .pyramid import PyramidAdapter

__all__ = [
    'CoAttention',
    'CoAttentionNeck',
    'PyramidAdapter',
    'TextGuidedHead',
    'TextScoreHead',
]
