"""Decode heads of which a segmentor needs nothing but the logits.

Some segmentors call a head for its logits and make losses of them. What else
the head does in its training would be left out, without a word.
"""

from collections.abc import Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import CrossEntropyLoss
from torch import nn

STEPS = ('loss', 'predict')


def check_plain_head(
    head: BaseDecodeHead, user: str, steps: Sequence[str] = STEPS
) -> None:
    """Check that a head trains and predicts by its logits alone.

    Args:
        head: The decode head.
        user: Name of the segmentor, for the message.
        steps: Methods that must be those of ``BaseDecodeHead``.

    Raises:
        ValueError: The head has a method of its own.
    """
    kind = type(head)
    own = [
        name
        for name in steps
        if getattr(kind, name) is not getattr(BaseDecodeHead, name)
    ]
    if own:
        raise ValueError(
            f'{user} takes only the logits of its decode head, and would '
            f'leave out {kind.__name__}.{own[0]}: train that head with the '
            f'segmentor of its own config, and give {user} a plain head, '
            'such as FPNHead, ASPPHead, UPerHead or SegformerHead'
        )


def check_plain_loss(head: BaseDecodeHead, user: str) -> None:
    """Check that a head has the cross entropy that a segmentor has as well.

    Args:
        head: The decode head.
        user: Name of the segmentor, for the message.

    Raises:
        ValueError: The head has another loss, a loss with options that would
            be ignored, a sampler, or not one channel for each class.
    """
    if head.out_channels != head.num_classes:
        raise ValueError(
            f'{user} needs a logit for each class, and the decode head has '
            f'out_channels={head.out_channels} for '
            f'num_classes={head.num_classes}: leave out_channels out'
        )
    if head.sampler is not None:
        raise ValueError(
            f'{user} learns all pixels, so {type(head.sampler).__name__} '
            'would not be used: set model.decode_head.sampler=None'
        )
    losses = head.loss_decode
    several = isinstance(losses, nn.ModuleList)
    for loss in losses if several else [losses]:
        reason = _unlike_cross_entropy(loss)
        if reason or (several and len(losses) > 1):
            raise ValueError(
                f'{user} has a cross entropy of its own and would not use '
                f'{reason or f"the {len(losses)} losses"} of '
                'model.decode_head.loss_decode: set it to '
                "dict(type='CrossEntropyLoss'); on a command line "
                'model.decode_head.loss_decode._delete_=True '
                'model.decode_head.loss_decode.type=CrossEntropyLoss'
            )


def _unlike_cross_entropy(loss: nn.Module) -> str:
    """Return what a loss has that a plain cross entropy lacks, or ''."""
    if type(loss) is not CrossEntropyLoss:
        return type(loss).__name__
    changed = [
        name for name in ('use_sigmoid', 'use_mask') if getattr(loss, name)
    ]
    if loss.class_weight is not None:
        changed.append('class_weight')
    if loss.loss_weight != 1:
        changed.append(f'loss_weight={loss.loss_weight}')
    return ', '.join(changed)
