"""CLIP's own attention as an affinity between patches (CLIP-ES, CAA)."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmseg_weakclip.models.clip.tokens import CLIPTokens
from mmseg_weakclip.models.refine.affinity import (
    refine_by_affinity,
    select_layers,
    sinkhorn_affinity,
)
from mmseg_weakclip.models.refine.boxes import box_mask


class AttentionAffinity(nn.Module):
    """Class-aware attention-based affinity (CLIP-ES, CVPR 2023).

    The attention of the last blocks, averaged, made doubly stochastic and
    squared, spreads each class map over patches that look alike; only
    patches inside the boxes around the class's own activation may give.

    Args:
        box_threshold: Share of the maximum above which a patch opens a box;
            CLIP-ES has 0.4 for VOC and 0.7 for COCO.
        rounds: Alternating normalisations.
        layers: How many of the blocks in ``tokens.attention`` are averaged,
            counted from the last; None takes all.
        relation_layers: From how many a learnt relation picks, in the same
            way. WeCLIP averages 8 blocks before and picks from 6 for VOC, 10
            for COCO.
        layer_weights: Of all those blocks, the first of them first; None
            gives all the same. ExCEL's code has maps summed over 12 heads in
            five blocks and averaged in the sixth: ``(1, 12, 12, 12, 12,
            12)``.

    Raises:
        ValueError: A number of blocks is below 1.
    """

    def __init__(
        self,
        box_threshold: float = 0.4,
        rounds: int = 3,
        layers: int | None = None,
        relation_layers: int | None = None,
        layer_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        for name, count in (
            ('layers', layers),
            ('relation_layers', relation_layers),
        ):
            if count is not None and count < 1:
                raise ValueError(f'{name}={count} must be at least 1')
        self.layers = layers
        self.relation_layers = relation_layers
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
                token: see :func:`select_layers`. None takes the mean of the
                layers.

        Raises:
            ValueError: The tokens hold no attention, that of fewer blocks
                than asked for, or not of as many as there are weights.
        """
        if tokens.attention is None:
            raise ValueError(
                'the affinity needs the attention of some '
                'blocks: set attention_layers in CLIPViT'
            )
        attention = self._weigh(tokens.attention[:, :, 1:, 1:])
        if relation is None:
            attention = self._last(attention, 'layers').float().mean(0)
        else:
            attention = select_layers(
                self._last(attention, 'relation_layers'), relation
            )
        affinity = sinkhorn_affinity(attention, self.rounds)
        return refine_by_affinity(
            cams, affinity, box_mask(cams, self.box_threshold)
        )

    def _last(self, attention: Tensor, which: str) -> Tensor:
        count = getattr(self, which)
        if count is None:
            return attention
        if count > len(attention):
            raise ValueError(
                f'{which}={count} of the attention of {len(attention)} '
                'blocks: set attention_layers in CLIPViT higher'
            )
        return attention[-count:]

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
