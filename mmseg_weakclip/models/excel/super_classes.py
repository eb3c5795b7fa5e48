"""Outlines of super-classes from a second model's features (SBE).

Super-class boundary enhancement of CD-CLIP (CVPR 2026): a CAM of "animal" or
"vehicle" pools the features of a second model, and what resembles them there
has sharper outlines than the CAM. The paper gives neither the words nor how
super-classes become the classes of the prediction; both are arguments or
decisions of this file, and said where they are made.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_weakclip.models.clip.text_bank import check_foreground_text
from mmseg_weakclip.models.clip.tokens import CLIPTokens
from mmseg_weakclip.models.losses.functional import mean_or_zero

from .pseudo_labels import ClassMaps, scatter_maps


def resembling_maps(maps: Tensor, features: Tensor) -> Tensor:
    """Return where features resemble their mean under a map.

    ReLU(cos(f_n, F)) with f_n the mean of F weighted by map n.

    Args:
        maps: Maps >= 0 of N super-classes, (B, N, h, w).
        features: Features F of the second model, (B, C, h, w).

    Returns:
        float32 in [0, 1], (B, N, h, w); zero for a map that is zero.
    """
    weights = maps.float().flatten(2)
    values = features.float().flatten(2)
    means = torch.einsum('bnp,bcp->bnc', weights, values)
    # A mean's length does not matter, so neither does its divisor.
    unit = F.normalize(means, dim=2)
    cosines = unit @ F.normalize(values, dim=1)
    return cosines.clamp(min=0).view_as(maps)


def super_dice(
    probabilities: Tensor, targets: Tensor, present: Tensor
) -> Tensor:
    """Return each image's Dice loss of its super-classes.

    1 - mean_n 2 sum P_n Y_n / (sum P_n + sum Y_n), over the super-classes
    that the image has.

    Args:
        probabilities: Probabilities P, (B, N, h, w).
        targets: Maps Y in [0, 1], (B, N, h, w).
        present: Whether an image has a super-class, bool (B, N).

    Returns:
        (B,); one for an image without any.
    """
    both = (probabilities * targets).sum((2, 3))
    total = probabilities.sum((2, 3)) + targets.sum((2, 3))
    share = 2 * both / total.clamp(min=torch.finfo(total.dtype).tiny)
    count = present.sum(1).clamp(min=1)
    return 1 - (share * present).sum(1) / count


class SuperClassBoundary(nn.Module):
    """Loss of a prediction at the outlines of its super-classes.

    The probability of a super-class is the sum of those of its classes, and
    its target is :func:`resembling_maps`, without rounding: both are ours,
    the paper says "Dice" and no more. Only images in whose prediction enough
    super-classes occur are counted; the paper has 81.6 so on VOC, 80.2
    without the loss and 81.4 with all images. Padding is left out of all of
    it, and images without labels, for which there is no target, as well.

    Args:
        num_classes: Number of classes K, background included.
        groups: Class ids, 1 to K - 1, of each super-class, by its name.
        text: Config of a text bank of the names of the super-classes, in that
            order, with background words.
        class_maps: Arguments of :class:`ClassMaps`, for the CAMs of
            super-classes.
        min_groups: Number of super-classes that must occur in the prediction.
        loss_weight: Factor of the loss; 0.6 in the paper.

    Raises:
        ValueError: A class belongs to no super-class, to two, or is none of
            the data set's; or there are fewer super-classes than
            ``min_groups``.
    """

    loss_name = 'loss_boundary'

    def __init__(
        self,
        num_classes: int,
        groups: Mapping[str, Sequence[int]],
        text: ConfigType,
        class_maps: ConfigType | None = None,
        min_groups: int = 2,
        loss_weight: float = 0.6,
    ) -> None:
        super().__init__()
        if not groups:
            raise ValueError('groups is empty; name at least one super-class')
        if not 0 <= min_groups <= len(groups):
            raise ValueError(
                f'min_groups={min_groups} must be from 0 to {len(groups)}, '
                'the number of super-classes; with more, no image is counted'
            )
        members = torch.zeros(len(groups), num_classes)
        for row, (name, ids) in zip(members, groups.items()):
            wrong = [i for i in ids if not 0 < i < num_classes]
            if wrong:
                raise ValueError(
                    f'the super-class {name!r} has the class ids {wrong}, '
                    f'which are not 1 to {num_classes - 1}'
                )
            row[list(ids)] = 1
        counts = members.sum(0)[1:].tolist()
        for index, count in enumerate(counts, 1):
            if count != 1:
                raise ValueError(
                    f'class id {index} is in {count:.0f} super-classes; each '
                    'must be in one'
                )
        self.register_buffer('members', members, persistent=False)
        self.group_of = members[:, 1:].argmax(0).tolist()
        self.text = MODELS.build(text)
        self.text.of_classes = False
        self.class_maps = ClassMaps(len(groups), **(class_maps or {}))
        self.min_groups = min_groups
        self.loss_weight = loss_weight

    def forward(
        self,
        logits: Tensor,
        tokens: CLIPTokens,
        features: Tensor,
        labels: Sequence[tuple[int, ...]],
        ignored: Tensor | None = None,
    ) -> Tensor:
        """Return the weighted loss.

        Args:
            logits: Class logits on CLIP's grid, (B, K, h, w).
            tokens: Output of CLIP.
            features: Features of the second model, (B, C, h', w').
            labels: Foreground classes of each image, ids from 0.
            ignored: Patches that are padding, bool, (B, h, w); None for no
                patch.

        Raises:
            ValueError: The text bank does not name the super-classes.
        """
        own = [
            tuple(sorted({self.group_of[i] for i in ids})) for ids in labels
        ]
        inside = torch.ones_like(logits[:, :1], dtype=torch.float32)
        if ignored is not None:
            inside = inside.masked_fill(ignored[:, None], 0)
        with torch.autocast(logits.device.type, enabled=False):
            targets = inside * self._targets(tokens, features, own, inside)
            probabilities = inside * torch.einsum(
                'nk,bkhw->bnhw', self.members, logits.float().softmax(1)
            )
            present = self._present(own)
            losses = super_dice(probabilities, targets, present)
            occurring = self._occurring(logits, inside[:, 0]).sum(1)
            counted = (
                (occurring >= self.min_groups)
                & present.any(1)
                & inside.bool().any(3).any(2)[:, 0]
            )
            return self.loss_weight * mean_or_zero(losses[counted], logits)

    @torch.no_grad()
    def _targets(
        self,
        tokens: CLIPTokens,
        features: Tensor,
        own: Sequence[tuple[int, ...]],
        inside: Tensor,
    ) -> Tensor:
        """Return maps of the super-classes on CLIP's grid, (B, N, h, w).

        Only features inside the images, 1 in (B, 1, h, w), are pooled.
        """
        count = len(self.members)
        check_foreground_text(self.text, count + 1, type(self).__name__)
        maps, ids = self.class_maps(tokens, self.text(), own)
        every = scatter_maps(maps, ids, count)
        size = features.shape[2:]
        finer = F.interpolate(every, size, mode='bilinear')
        # Masked here: interpolation carries maps across the images' edges.
        finer = finer * F.interpolate(inside, size, mode='nearest')
        sharper = resembling_maps(finer, features)
        return F.interpolate(sharper, tokens.grid, mode='bilinear')

    def _present(self, own: Sequence[tuple[int, ...]]) -> Tensor:
        present = torch.zeros(len(own), len(self.members), dtype=torch.bool)
        for row, groups in zip(present, own):
            row[list(groups)] = True
        return present.to(self.members.device)

    def _occurring(self, logits: Tensor, inside: Tensor) -> Tensor:
        """Return the super-classes that the prediction has, bool (B, N)."""
        shown = F.one_hot(logits.argmax(1), logits.shape[1])
        shown = (shown * inside[..., None]).amax((1, 2))
        return shown @ self.members.T > 0
