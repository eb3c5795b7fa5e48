from .attribute_bank import (
    AttributeBank,
    cluster_attributes,
    encode_descriptions,
    read_descriptions,
)
from .enrichment import AttributeText, enrich

__all__ = [
    'AttributeBank',
    'AttributeText',
    'cluster_attributes',
    'encode_descriptions',
    'enrich',
    'read_descriptions',
]
