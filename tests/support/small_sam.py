"""A SAM of few parameters and random weights."""

import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

SIDE, PATCH, WIDTH = 128, 16, 16


def build_small_sam() -> Sam:
    """Return a SAM that sees images at 128 pixels."""
    torch.manual_seed(0)
    grid = SIDE // PATCH
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=SIDE,
            patch_size=PATCH,
            embed_dim=24,
            depth=1,
            num_heads=2,
            out_chans=WIDTH,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=WIDTH,
            image_embedding_size=(grid, grid),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=1, embedding_dim=WIDTH, mlp_dim=32, num_heads=2
            ),
            transformer_dim=WIDTH,
            iou_head_depth=2,
            iou_head_hidden_dim=16,
        ),
    ).eval()
