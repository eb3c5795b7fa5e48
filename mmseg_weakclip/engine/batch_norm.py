"""Check for batch norm over a single value, before a training begins."""

from collections.abc import Mapping
from typing import Any

from mmseg_weakclip.datasets.configs import iter_dicts

# Heads of mmseg that normalise features pooled to 1 x 1, and the argument
# that lists the pooled sizes; '' where they always pool so.
POOLING_HEADS = {
    'APCHead': 'pool_scales',
    'ASPPHead': '',
    'DMHead': 'filter_sizes',
    'DepthwiseSeparableASPPHead': '',
    'PSPHead': 'pool_scales',
    'UPerHead': 'pool_scales',
}
ALWAYS_POOLED = (1,)


def check_batch_norm(
    model: Mapping[str, Any], batch_size: int, processes: int = 1
) -> None:
    """Check that no batch norm sees one value per channel.

    PyTorch refuses that in the first iteration ("Expected more than 1 value
    per channel when training"). Batch norm that is synchronised sees the
    images of all processes.

    Args:
        model: Config of the model.
        batch_size: Images of a process.
        processes: Number of processes that train.

    Raises:
        ValueError: One does; the message names the head.
    """
    if batch_size > 1:
        return
    for part in iter_dicts(model):
        kind = str(part.get('type', '')).rpartition('.')[2]
        if kind not in POOLING_HEADS:
            continue
        scales = part.get(POOLING_HEADS[kind], ALWAYS_POOLED)
        norm = part.get('norm_cfg') or {}
        seen = processes if norm.get('type') == 'SyncBN' else 1
        if 1 in scales and 'BN' in norm.get('type', '') and seen == 1:
            raise ValueError(
                f'a batch of 1 image: {kind} normalises features pooled to 1 '
                f'x 1 with {norm["type"]}, which needs two images at least; '
                'use a batch size of 2 or more'
            )
