"""One stage of a ResNet with four channels, for segmentors in tests."""

from typing import Any


def small_resnet(**options: Any) -> dict[str, Any]:
    """Return the config of a backbone with maps of 4 channels, stride 4.

    Args:
        options: What differs.
    """
    return {
        'type': 'ResNet',
        'depth': 18,
        'base_channels': 4,
        'stem_channels': 4,
        'num_stages': 1,
        'strides': (1,),
        'dilations': (1,),
        'out_indices': (0,),
        **options,
    }
