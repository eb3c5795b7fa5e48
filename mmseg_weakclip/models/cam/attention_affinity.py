"""CLIP's own attention as an affinity between patches (CLIP-ES, CAA).

The affinity of another model may take a share of it, or its place; that of
the patches' classes may weigh it, or take its place.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_weakclip.common.options import check_options
from mmseg_weakclip.models.clip.tokens import CLIPTokens
from mmseg_weakclip.models.refine.affinity import (
    EPS,
    LAYER_FILTERS,
    refine_by_affinity,
    select_layers,
    sinkhorn_affinity,
)
from mmseg_weakclip.models.refine.boxes import box_mask
from mmseg_weakclip.models.refine.class_affinity import class_affinity
from mmseg_weakclip.models.transfer import device_constant

# How the affinity of classes goes with that of the attention.
COMBINATIONS = ('mul', 'matmul', 'alone')
# Defaults of what only CLIP's attention has, and of what the doubly stochastic
# affinity has besides.
PLAIN_ATTENTION = dict(
    layers=None,
    relation_layers=None,
    layer_weights=None,
    layer_filter='published',
)
PLAIN = dict(PLAIN_ATTENTION, guide_share=0, rounds=3)


class AttentionAffinity(nn.Module):
    """Class-aware attention-based affinity (CLIP-ES, CVPR 2023).

    The attention of the last blocks, averaged, made doubly stochastic and
    squared, spreads each class map over similar patches. Only values of
    patches inside the boxes around the activation of the class are spread.

    Args:
        box_threshold: Share of the maximum above which a patch opens a box;
            CLIP-ES has 0.4 for VOC and 0.7 for COCO. None is without boxes.
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
        guide_share: Share of the affinity of another model, the ``guide`` of
            ``CLIPViT``, in [0, 1]: SSR (AAAI 2026) has 0.4 of CLIP's
            attention and 0.6 of DINO's. With 1 no attention is needed.
        classes: Arguments of :func:`class_affinity`, and ``combine``, how it
            goes with the attention: ``'mul'``, element by element before the
            normalisations; ``'matmul'``, a step along the attention and then
            one along the classes; or ``'alone'``, which has neither
            attention, guide nor learnt relation. None is without. CD-CLIP
            (CVPR 2026) does not say which of the first two it has.

    Raises:
        ValueError: A number of blocks is below 1, there is no such rule or
            combination, the share is not in [0, 1], or another option leaves
            nothing for one to change.
    """

    def __init__(
        self,
        box_threshold: float | None = 0.4,
        rounds: int = 3,
        layers: int | None = None,
        relation_layers: int | None = None,
        layer_weights: Sequence[float] | None = None,
        layer_filter: str = 'published',
        *,
        published_boxes: bool = False,
        guide_share: float = 0.0,
        classes: ConfigType | None = None,
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
        if not 0 <= guide_share <= 1:
            raise ValueError(f'guide_share={guide_share} must be in [0, 1]')
        self.classes = None if classes is None else dict(classes)
        self.combine = (
            None
            if self.classes is None
            else self.classes.pop('combine', COMBINATIONS[0])
        )
        if self.classes is not None and self.combine not in COMBINATIONS:
            raise ValueError(
                f'combine={self.combine!r} of classes must be one of '
                f'{COMBINATIONS}'
            )
        check_options(
            'classes',
            self.classes,
            partial(class_affinity, torch.zeros(1, 2, 1)),
        )
        self.guide_share = guide_share
        self.layers = layers
        self.relation_layers = relation_layers
        self.layer_weights = layer_weights
        self.layer_filter = layer_filter
        self.box_threshold = box_threshold
        self.rounds = rounds
        self.published_boxes = published_boxes
        self._refuse_idle()

    def _refuse_idle(self) -> None:
        """Refuse options of an attention that is not used."""
        if self.combine == 'alone':
            cause, names = "combine='alone' of classes", [*PLAIN]
        elif self.guide_share == 1:
            cause, names = 'guide_share=1', [*PLAIN_ATTENTION]
        else:
            return
        idle = [
            f'{name}={getattr(self, name)!r}'
            for name in names
            if getattr(self, name) != PLAIN[name]
        ]
        if idle:
            raise ValueError(
                f'{", ".join(idle)} would change nothing beside {cause}: '
                'leave one of them out'
            )

    def forward(
        self,
        cams: Tensor,
        tokens: CLIPTokens,
        relation: Tensor | None = None,
        text: Tensor | None = None,
        givers: Tensor | None = None,
    ) -> Tensor:
        """Spread class maps along the attention.

        Args:
            cams: Class maps in [0, 1], (B, K, h, w).
            tokens: Output of CLIP, with attention.
            relation: Learnt relation in [0, 1] without the class token,
                (B, N, N); see :func:`select_layers`. None takes the mean of
                the layers.
            text: Unit embeddings of all texts, (M, E), which ``classes``
                compares with the patches.
            givers: Patches whose values are spread, beside the boxes, bool,
                (B, K, h, w); see :func:`superpixel_mask`. A class that has
                no value there spreads all inside its boxes.

        Returns:
            (B, K, h, w), not normalised.

        Raises:
            ValueError: The tokens hold no attention, or that of too few
                blocks for the layers or weights, or no affinity of a guide;
                there are too few texts; or the affinity has another grid than
                the maps.
        """
        self._check_grid(cams, tokens)
        affinity = self._affinity(tokens, relation, text)
        mask = None
        if self.box_threshold is not None:
            mask = box_mask(
                cams, self.box_threshold, published=self.published_boxes
            )
        if givers is not None:
            both = givers if mask is None else mask & givers
            gives = (both & (cams > 0)).flatten(2).any(2)[..., None, None]
            # Nothing would be left of a class without any giver.
            mask = both | ~gives if mask is None else both.where(gives, mask)
        return refine_by_affinity(cams, affinity, mask)

    def _check_grid(self, cams: Tensor, tokens: CLIPTokens) -> None:
        """Refuse maps on other patches than what they are spread along."""
        grids = {}
        if self.combine != 'alone':
            grids['patches of CLIP'] = tokens.grid
        if self.classes is not None:
            grids['patches of the classes'] = tokens.patch_embeddings.shape[2:]
        rows, columns = cams.shape[2:]
        for name, (height, width) in grids.items():
            if (height, width) != (rows, columns):
                raise ValueError(
                    f'the maps have {rows} x {columns} patches, but the '
                    f'affinity is that of {height} x {width} {name}: set '
                    "grid='clip' in the TimmAffinity of dense"
                )

    def _affinity(
        self, tokens: CLIPTokens, relation: Tensor | None, text: Tensor | None
    ) -> Tensor:
        """Return the affinity of all that is asked for, (B, N, N)."""
        alike = None
        if self.classes is not None:
            patches = F.normalize(tokens.patch_embeddings.float(), dim=1)
            if text is None:
                raise ValueError('the affinity of classes needs their texts')
            scores = torch.einsum('behw,me->bmhw', patches, text.float())
            alike = class_affinity(scores.flatten(2), **self.classes)
            if self.combine == 'alone':
                return alike
        attention = None
        if self.guide_share < 1:
            attention = self._attention(tokens, relation)
        mixed = self._with_guide(attention, tokens.affinity)
        if self.combine == 'mul':
            mixed = mixed.float() * alike
        affinity = sinkhorn_affinity(mixed, self.rounds)
        return alike @ affinity if self.combine == 'matmul' else affinity

    def _attention(
        self, tokens: CLIPTokens, relation: Tensor | None
    ) -> Tensor:
        """Return CLIP's attention between patches, (B, N, N)."""
        if tokens.attention is None:
            raise ValueError(
                'the affinity needs the attention of some '
                'blocks: set attention_layers in CLIPViT'
            )
        attention = self._weigh(
            tokens.attention[:, :, tokens.prefix :, tokens.prefix :]
        )
        if relation is None:
            return self._last(attention, 'layers').float().mean(0)
        return select_layers(
            self._last(attention, 'relation_layers'),
            relation,
            self.layer_filter,
        )

    def _with_guide(
        self, attention: Tensor | None, guide: Tensor | None
    ) -> Tensor:
        """Mix the two affinities by their share, rows that sum to one."""
        if self.guide_share and guide is None:
            raise ValueError(
                f'guide_share={self.guide_share} needs the affinity of '
                "another model: set guide=dict(type='TimmAffinity', ...) in "
                'CLIPViT'
            )
        if attention is None:
            return guide
        if not self.guide_share:
            return attention
        # Without the class token, rows of the attention sum to less.
        total = attention.sum(2, keepdim=True).clamp(min=EPS)
        return (1 - self.guide_share) * attention / total + (
            self.guide_share * guide.float()
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
        weights = device_constant(self.layer_weights, attention.device)
        return attention * weights.to(attention.dtype)[:, None, None, None]
