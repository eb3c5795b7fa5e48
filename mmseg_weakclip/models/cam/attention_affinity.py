"""CLIP's own attention as an affinity between patches (CLIP-ES, CAA)."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmseg_weakclip.models.clip.tokens import CLIPTokens
from mmseg_weakclip.models.refine.affinity import (
    LAYER_FILTERS,
    refine_by_affinity,
    select_layers,
    sinkhorn_affinity,
)
from mmseg_weakclip.models.refine.boxes import box_mask
from mmseg_weakclip.models.transfer import device_constant


class AttentionAffinity(nn.Module):
    """Class-aware attention-based affinity (CLIP-ES, CVPR 2023).

    The attention of the last blocks, averaged, made doubly stochastic and
    squared, spreads each class map over similar patches. Only values of
    patches inside the boxes around the activation of the class are spread.

    Args:
        box_threshold: Share of the maximum above which a patch opens a box;
            CLIP-ES has 0.4 for VOC and 0.7 for COCO.
        rounds: Number of pairs of normalisations.
        layers: Number of blocks in ``tokens.attention`` that are averaged,
            counted from the last; None takes all.
        relation_layers: Number of blocks among which a learnt relation
            selects, counted from the last; None takes all. WeCLIP averages
            8 blocks without a relation and selects among 6 for VOC, 10 for
            COCO.
        layer_weights: Weights of the blocks in ``tokens.attention``, in order;
            None weighs all the same. ExCEL's code has maps summed over 12
            heads in five blocks and averaged in the sixth: ``(1, 12, 12, 12,
            12, 12)``.
        layer_filter: Rule by which layers are chosen with a learnt relation,
            ``'published'`` or ``'agreement'``; see :func:`select_layers`.
        published_boxes: Whether boxes are those of the published code; see
            :func:`box_mask`.

    Raises:
        ValueError: A number of blocks is below 1, or there is no such rule.
    """

    def __init__(
        self,
        box_threshold: float = 0.4,
        rounds: int = 3,
        layers: int | None = None,
        relation_layers: int | None = None,
        layer_weights: Sequence[float] | None = None,
        layer_filter: str = 'published',
        *,
        published_boxes: bool = False,
    ) -> None:
        super().__init__()
        for name, count in (
            ('layers', layers),
            ('relation_layers', relation_layers),
        ):
            if count is not None and count < 1:
                raise ValueError(f'{name}={count} must be at least 1')
        if layer_filter not in LAYER_FILTERS:
            raise ValueError(
                f'layer_filter={layer_filter!r} must be one of {LAYER_FILTERS}'
            )
        self.layers = layers
        self.relation_layers = relation_layers
        self.layer_weights = layer_weights
        self.layer_filter = layer_filter
        self.box_threshold = box_threshold
        self.rounds = rounds
        self.published_boxes = published_boxes

    def forward(
        self,
        cams: Tensor,
        tokens: CLIPTokens,
        relation: Tensor | None = None,
    ) -> Tensor:
        """Spread class maps along the attention.

        Args:
            cams: Class maps in [0, 1], (B, K, h, w).
            tokens: Output of CLIP, with attention.
            relation: Learnt relation in [0, 1] without the class token,
                (B, N, N); see :func:`select_layers`. None takes the mean of
                the layers.

        Returns:
            (B, K, h, w), not normalised.

        Raises:
            ValueError: The tokens hold no attention, or that of too few
                blocks for the layers or weights.
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
                self._last(attention, 'relation_layers'),
                relation,
                self.layer_filter,
            )
        affinity = sinkhorn_affinity(attention, self.rounds)
        boxes = box_mask(
            cams, self.box_threshold, published=self.published_boxes
        )
        return refine_by_affinity(cams, affinity, boxes)

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
        weights = device_constant(self.layer_weights, attention.device)
        return attention * weights.to(attention.dtype)[:, None, None, None]
