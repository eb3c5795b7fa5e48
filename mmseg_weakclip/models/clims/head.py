"""CLIMS' head: a CAM network that CLIP criticises."""

from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor, nn

from mmseg_weakclip.models.cam.classifier import CAMHead
from mmseg_weakclip.models.clip.text_bank import check_foreground_text
from mmseg_weakclip.models.losses.region_similarities import RegionSimilarities
from mmseg_weakclip.models.samples import image_ids, stack_images

from .critic import RegionCritic, find_pairs


@MODELS.register_module()
class CLIMSHead(CAMHead):
    """Maps that learn from what CLIP says of the regions they mark.

    CLIMS, "Cross Language Image Matching for Weakly Supervised Semantic
    Segmentation" (CVPR 2022). Each class of an image has a map P = sigmoid(W
    * Z). Losses look at how like the region X * P is to the class's text,
    how like the rest X * (1 - P) still is, and how like the region is to
    texts of what comes with the class but is not it. Start from the weights
    of a trained :class:`CAMHead` (``load_from``): the results depend on it.

    Predicts as :class:`CAMHead` does. Its ReLU of the logits is positive
    where P is above one half.

    Args:
        num_classes: K, background included.
        in_channels: Of the features.
        text: Config of a text bank of the K - 1 foreground classes.
        losses: Configs of losses that take :class:`RegionSimilarities`.
        critic: Arguments of :class:`RegionCritic`.
        backgrounds: Config of what gives the texts of co-occurring
            backgrounds, such as ``BackgroundTexts``; None has none, and the
            losses that need them are zero.
        kwargs: See :class:`CAMHead`.

    Raises:
        ValueError: There is no loss.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        text: ConfigType,
        losses: Sequence[ConfigType],
        critic: ConfigType | None = None,
        backgrounds: ConfigType | None = None,
        **kwargs,
    ) -> None:
        super().__init__(num_classes, in_channels, **kwargs)
        if not losses:
            raise ValueError('CLIMSHead has no losses to learn from')
        self.text = MODELS.build(text)
        self.critic = RegionCritic(**(critic or {}))
        self.backgrounds = (
            None if backgrounds is None else MODELS.build(backgrounds)
        )
        self.losses = nn.ModuleList(MODELS.build(loss) for loss in losses)

    def loss(
        self,
        inputs: tuple[Tensor, ...],
        batch_data_samples: SampleList,
        train_cfg: ConfigType,
    ) -> dict[str, Tensor]:
        """Losses by name, and the mean similarities.

        Args:
            inputs: Features of the backbone.
            batch_data_samples: With ``img``, ``image_labels`` and
                ``img_path``. Pixel labels are not read.
            train_cfg: Not used.

        Raises:
            ValueError: Images or image labels are missing, or the text bank
                has another number of classes.
        """
        maps = self.forward(inputs).float().sigmoid()
        regions = self.compare(maps, batch_data_samples)
        losses = {loss.loss_name: loss(regions) for loss in self.losses}
        for name in ('object_text', 'rest_text'):
            values = getattr(regions, name).detach()
            # Of no pair: 0, so that all ranks log the same.
            losses[f'cos_{name}'] = values.sum() / max(1, len(values))
        return losses

    def compare(self, maps: Tensor, samples: SampleList) -> RegionSimilarities:
        """Show CLIP the regions of a batch, in one call.

        Args:
            maps: P, (B, K - 1, h, w).
            samples: Of the batch.
        """
        present = self._present(samples, maps.device)
        pairs = find_pairs(present)
        text = self._text()[pairs[1]]
        inside, rest = self.critic(stack_images(samples), maps, pairs)
        background, mask = self._background(samples, pairs, text)
        with torch.autocast(maps.device.type, enabled=False):
            return RegionSimilarities(
                images=pairs[0],
                labels=pairs[1],
                object_text=(inside * text).sum(-1),
                rest_text=(rest * text).sum(-1),
                object_background=torch.einsum(
                    'me,mle->ml', inside, background
                ),
                rest_background=torch.einsum('me,mle->ml', rest, background),
                background_mask=mask,
                maps=maps,
                present=present,
            )

    def _text(self) -> Tensor:
        """Unit embeddings of the foreground classes, (K - 1, E)."""
        check_foreground_text(self.text, self.num_classes, type(self).__name__)
        return self.text()[: len(self.text)].float()

    def _background(
        self,
        samples: SampleList,
        pairs: tuple[Tensor, Tensor],
        text: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Background texts of each pair, (M, L, E), and which there are."""
        if self.backgrounds is None:
            none = text.new_zeros(len(text), 0, text.shape[-1])
            return none, none[..., 0].bool()
        images, labels = pairs
        ids = image_ids(samples)
        return self.backgrounds([ids[place] for place in images], labels)
