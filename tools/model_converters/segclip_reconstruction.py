"""The reconstruction of SegCLIP's released weights, as an auxiliary head.

It is needed to go on with training only. The file also holds its code of the
patches' positions, which is computed here, and must be the same.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mmseg_weakclip.models.segclip.patch_decoder import sincos_position
from mmseg_weakclip.models.segclip.reconstruction import (
    MaskedReconstructionHead,
)

VISUAL = 'clip.visual.transformer.'
POSITION = 'vis_mae_decoder.decoder_pos_embed'
MASK_TOKEN = 'vis_mae_decoder.mask_token'
HEAD = 'auxiliary_head.'
RENAMED = (
    (f'{VISUAL}reconstruct_layer2.rec_proj_a.a_fc.', 'mixer.mix.'),
    (f'{VISUAL}layers_mae2.', 'mixer.blocks.'),
    ('vis_mae_decoder.mask_token', 'decoder.mask_token'),
    ('vis_mae_decoder.decoder_embed.', 'decoder.embed.'),
    ('vis_mae_decoder.decoder_blocks.', 'decoder.blocks.'),
    ('vis_mae_decoder.decoder_norm.', 'decoder.norm.'),
    ('vis_mae_decoder.decoder_pred.', 'decoder.predict.'),
)


def head_shapes(
    channels: int, patch_size: int, num_centers: int, decoder_channels: int
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the auxiliary head, by our names."""
    with torch.device('meta'):
        head = MaskedReconstructionHead(
            channels=channels,
            patch_size=patch_size,
            num_centers=num_centers,
            decoder_channels=decoder_channels,
        )
    return {
        HEAD + name: tuple(value.shape)
        for name, value in head.state_dict().items()
    }


def convert_reconstruction(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the reconstruction by our names.

    Args:
        state: Those of the file, by its names.

    Raises:
        ValueError: A name is unknown, or the code of the positions is missing
            or not ours.
    """
    if POSITION not in state or MASK_TOKEN not in state:
        raise ValueError(f'there is no {POSITION} or no {MASK_TOKEN}')
    weights = {}
    for name, value in state.items():
        if name == POSITION:
            continue
        for theirs, ours in RENAMED:
            if name.startswith(theirs):
                weights[ours + name.removeprefix(theirs)] = value
                break
        else:
            raise ValueError(f'nothing is known of {name!r}')
    weights['decoder.mask_token'] = weights['decoder.mask_token'].flatten()
    _check_position(state[POSITION])
    return {HEAD + name: value for name, value in weights.items()}


def _check_position(position: Tensor) -> None:
    """Check that the file's code of positions is the one of the decoder."""
    rows = position.flatten(0, -2)[1:].float()
    side = round(len(rows) ** 0.5)
    if side * side != len(rows) or rows.shape[1] % 4:
        raise ValueError(
            f'{POSITION} is {tuple(position.shape)}: no square of patches'
        )
    ours = sincos_position((side, side), rows.shape[1])
    if not torch.allclose(rows, ours, atol=1e-4):
        raise ValueError(f'{POSITION} is not the code that is computed here')
