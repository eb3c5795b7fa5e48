"""CLIP's own attention as an affinity between patches (CLIP-ES, CAA)."""

from collections.abc import Sequence

from torch import Tensor, nn

from ..clip import CLIPTokens
from ..refine import (
    box_mask,
    refine_by_affinity,
    select_layers,
    sinkhorn_affinity,
)


class AttentionAffinity(nn.Module):
    """Class-aware attention-based affinity (CLIP-ES, CVPR 2023).

    The attention of the last blocks, averaged, made doubly stochastic and
    squared, spreads each class map over patches that look alike; only
    patches inside the boxes around the class's own activation may give.

    Args:
        box_threshold: Share of the maximum above which a patch opens a box;
            CLIP-ES has 0.4 for VOC and 0.7 for COCO.
        rounds: Alternating normalisations.
        layer_weights: Of the blocks, the first of them first; None gives
            all the same. ExCEL's code has maps summed over 12 heads in five
            blocks and averaged in the sixth: ``(1, 12, 12, 12, 12, 12)``.
    """

    def __init__(
        self,
        box_threshold: float = 0.4,
        rounds: int = 3,
        layer_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.layer_weights = layer_weights
        self.box_threshold = box_threshold
        self.rounds = rounds

    def forward(
        self,
        cams: Tensor,
        tokens: CLIPTokens,
        relation: Tensor | None = None,
    ) -> Tensor:
        """(B, K, h, w) in [0, 1] -> (B, K, h, w), not normalised.

        Args:
            cams: Class maps.
            tokens: CLIP's view of the batch, with attention.
            relation: A learnt one, (B, N, N) in [0, 1] without the class
                token: see :func:`select_layers`. None takes the mean of all
                layers.

        Raises:
            ValueError: The tokens hold no attention, or not that of as
                many blocks as there are weights.
        """
        if tokens.attention is None:
            raise ValueError(
                'the affinity needs the attention of some '
                'blocks: set attention_layers in CLIPViT'
            )
        attention = self._weigh(tokens.attention[:, :, 1:, 1:])
        if relation is None:
            attention = attention.float().mean(0)
        else:
            attention = select_layers(attention, relation)
        affinity = sinkhorn_affinity(attention, self.rounds)
        return refine_by_affinity(
            cams, affinity, box_mask(cams, self.box_threshold)
        )

    def _weigh(self, attention: Tensor) -> Tensor:
        if self.layer_weights is None:
            return attention
        if len(self.layer_weights) != len(attention):
            raise ValueError(
                f'layer_weights={tuple(self.layer_weights)} for the attention '
                f'of {len(attention)} blocks (attention_layers of CLIPViT)'
            )
        weights = attention.new_tensor(self.layer_weights)
        return attention * weights[:, None, None, None]
