from .adapter import MultiLayerAdapter, TokenTransformer
from .attribute_bank import (
    AttributeBank,
    cluster_attributes,
    encode_descriptions,
    read_descriptions,
)
from .enrichment import AttributeText, enrich
from .head import IntraCorrelationHead
from .pseudo_labels import (
    ClassMaps,
    ignore_padding,
    maps_to_labels,
    pad_labels,
    scatter_maps,
)
from .relation import shift_dense_stream

__all__ = [
    'AttributeBank',
    'AttributeText',
    'ClassMaps',
    'IntraCorrelationHead',
    'MultiLayerAdapter',
    'TokenTransformer',
    'cluster_attributes',
    'encode_descriptions',
    'enrich',
    'ignore_padding',
    'maps_to_labels',
    'pad_labels',
    'read_descriptions',
    'scatter_maps',
    'shift_dense_stream',
]
