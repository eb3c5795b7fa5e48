"""CLIMS's head: a CAM network trained with CLIP as critic."""

from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor, nn

from mmseg_weakclip.models.cam.classifier import CAMHead
from mmseg_weakclip.models.clip.text_bank import check_foreground_text
from mmseg_weakclip.models.losses.region_similarities import RegionSimilarities
from mmseg_weakclip.models.samples import image_ids, stack_images
from mmseg_weakclip.models.transfer import upload

from .critic import RegionCritic, find_pairs


@MODELS.register_module()
class CLIMSHead(CAMHead):
    """Class maps trained by CLIP's similarity of regions and texts.

    CLIMS, "Cross Language Image Matching for Weakly Supervised Semantic
    Segmentation" (CVPR 2022). Each class of an image has a map P = sigmoid(W
    * Z). The losses are on the similarity of the region X * P to the class's
    text, of the rest X * (1 - P) to it, and of the region to texts of
    co-occurring background. Start from the weights of a trained
    :class:`CAMHead` (``load_from``): the results depend on it.

    It predicts like :class:`CAMHead`, whose ReLU of the logits is positive
    where P is above one half.

    Args:
        num_classes: Number of classes K, background included.
        in_channels: Channels of the features.
        text: Config of a text bank of the K - 1 foreground classes.
        losses: Configs of losses that take :class:`RegionSimilarities`.
        critic: Arguments of :class:`RegionCritic`.
        backgrounds: Config of the texts of co-occurring background, such as
            ``BackgroundTexts``. With None, losses on them are zero.
        kwargs: Other arguments of :class:`CAMHead`.

    Raises:
        ValueError: There is no loss, or ``importance_weight``, which is a
            loss of the classifier's, is given.
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
            raise ValueError('CLIMSHead has no losses to train with')
        if self.importance_weight:
            raise ValueError(
                'CLIMSHead has its own losses: importance_weight='
                f'{self.importance_weight} is for the CAMHead that it starts '
                'from'
            )
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
        """Return losses by name, and the mean similarities.

        Args:
            inputs: Features of the backbone.
            batch_data_samples: Samples with ``img``, ``image_labels`` and
                ``img_path``; pixel labels are not read.
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
            # 0 without pairs, so that all ranks log the same names.
            losses[f'cos_{name}'] = values.sum() / max(1, len(values))
        return losses

    def compare(self, maps: Tensor, samples: SampleList) -> RegionSimilarities:
        """Compare the regions of a batch with texts, in one call of CLIP.

        Args:
            maps: Activation maps P, (B, K - 1, h, w).
            samples: Samples of the batch.
        """
        # Found on the host, where the labels are.
        present = self._present(samples)
        found = torch.stack(find_pairs(present))
        images, labels = pairs = upload(found, maps.device).unbind()
        text = self._text()[labels]
        inside, rest = self.critic(stack_images(samples), maps, pairs)
        background, mask = self._background(samples, found, text)
        with torch.autocast(maps.device.type, enabled=False):
            return RegionSimilarities(
                images=images,
                labels=labels,
                object_text=(inside * text).sum(-1),
                rest_text=(rest * text).sum(-1),
                object_background=torch.einsum(
                    'me,mle->ml', inside, background
                ),
                rest_background=torch.einsum('me,mle->ml', rest, background),
                background_mask=mask,
                maps=maps,
                present=upload(present, maps.device),
            )

    def _text(self) -> Tensor:
        """Return unit embeddings of the foreground classes, (K - 1, E)."""
        check_foreground_text(self.text, self.num_classes, type(self).__name__)
        return self.text()[: len(self.text)].float()

    def _background(
        self,
        samples: SampleList,
        pairs: Tensor,
        text: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return background texts of each pair, (M, L, E), and their mask.

        Args:
            samples: Samples of the batch.
            pairs: Index of each pair's image and id of its class, on the
                CPU, (2, M).
            text: Text of each pair's class, (M, E).
        """
        if self.backgrounds is None:
            none = text.new_zeros(len(text), 0, text.shape[-1])
            return none, none[..., 0].bool()
        images, labels = pairs
        ids = image_ids(samples)
        return self.backgrounds(
            [ids[place] for place in images.tolist()], labels
        )
