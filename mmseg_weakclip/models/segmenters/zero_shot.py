"""Zero-shot segmentor: regions, windows that see each other, refinement."""

from collections.abc import Iterator, Sequence

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor
from torch.nn.modules.utils import _pair

from mmseg_weakclip.models.clip.dense.attention import BLOCKS
from mmseg_weakclip.models.clip.tokens import CLIPTokens, find_tokens
from mmseg_weakclip.models.refine.logit_steps import (
    build_steps,
    window_places,
)
from mmseg_weakclip.models.refine.region_source import (
    RegionSource,
    majority_vote,
)

from .batched_windows import BatchedEncoderDecoder, window_boxes
from .window_encoding import Boxes, check_windows, encode_windows


@MODELS.register_module()
class ZeroShotSegmentor(BatchedEncoderDecoder):
    """``BatchedEncoderDecoder`` of a CLIP and a ``PatchTextHead``.

    Without options it is just that.

    Args:
        args: Arguments of ``EncoderDecoder``.
        refine: Config of a step that refines logits, ``'PAMR'`` or
            ``'LabelPropagation'``, or a list of such steps, which run in
            order: first all at the patches of an image's windows, then all at
            the pixels of the network's input.
        windows: ``'apart'``, or ``'joint'``: in the last block of the dense
            path, patches see those of all windows of the image; see
            :func:`encode_windows`.
        regions: Arguments of :class:`RegionSource`, such as
            ``dict(folder='regions')``; and ``scope``, whether patches see
            those of their region only, and ``vote``, whether each region gets
            the class that most of its pixels have, at the end; both are true
            by default. None for no regions.
        kwargs: Further arguments of ``EncoderDecoder``.

    Raises:
        TypeError: A step does not refine logits.
        ValueError: The head has no texts, ``windows`` has another value, the
            folder of regions does not exist, or joint windows or the scope of
            regions would change nothing.
    """

    def __init__(
        self,
        *args,
        refine: ConfigType | Sequence[ConfigType] | None = None,
        windows: str = 'apart',
        regions: ConfigType | None = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.refine = build_steps(refine)
        if windows not in ('apart', 'joint'):
            raise ValueError(f"windows={windows!r} must be 'apart' or 'joint'")
        self.windows = windows
        options = dict(regions or {})
        self.scope = bool(options.pop('scope', True)) and regions is not None
        self.vote = bool(options.pop('vote', True))
        self.regions = None if regions is None else RegionSource(**options)
        if not hasattr(self.decode_head, 'text_logits') or self.with_neck:
            raise ValueError(
                f'{type(self).__name__} takes a PatchTextHead right behind '
                f'CLIPViT, without a neck; it got '
                f'{type(self.decode_head).__name__}'
            )
        if self.windows == 'joint' or self.scope:
            self._check_windows()

    def _check_windows(self) -> None:
        """Refuse joint windows and regions that would change nothing."""
        joint = self.windows == 'joint'
        check_windows(self.backbone, joint=joint, scope=self.scope)
        if not joint:
            return
        if self.test_cfg.get('mode', 'whole') == 'whole':
            raise ValueError(
                "windows='joint' with test_cfg.mode='whole', which has one "
                "window: set mode='slide' with crop_size and stride, or "
                "windows='apart'"
            )
        terms = self.backbone.dense.terms
        if all(t == 'identity' or BLOCKS.fullmatch(t) for t in terms):
            raise ValueError(
                f"windows='joint' with the dense terms {terms}, by which "
                'patches see those of their own window at most: set '
                "windows='apart', or a path such as dense='sclip'"
            )

    def inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Return logits of all classes, (B, K, H, W).

        Args:
            inputs: Images, (B, 3, H, W).
            batch_img_metas: Meta information of each image.
        """
        regions = None
        if self.regions is not None:
            size = (inputs.shape[2], inputs.shape[3])
            regions = self.regions(batch_img_metas, size, inputs.device)
        scope = regions.ids if regions is not None and self.scope else None
        if (
            scope is not None
            or self.windows == 'joint'
            or any(step.at_patches for step in self.refine)
        ):
            logits = self._by_image(inputs, batch_img_metas, scope)
        else:
            logits = super().inference(inputs, batch_img_metas)
        if self.refine:
            colors = self._colors(inputs)
            for step in self.refine:
                logits = step.refine_pixels(colors, logits)
        if regions is not None and self.vote:
            logits = majority_vote(logits, regions.ids, regions.known)
        return logits

    def _by_image(
        self, inputs: Tensor, metas: list[dict], scope: Tensor | None
    ) -> Tensor:
        """Return logits where all windows of an image are taken together."""
        boxes = self._boxes(inputs)
        count = len(boxes)
        features: list[list[Tensor]] = [[] for _ in self.refine]
        parts = []
        for windows, tokens in self._encode(inputs, boxes, scope):
            parts.append(self.decode_head.text_logits((tokens,)))
            for kept, step in zip(features, self.refine):
                if step.at_patches:
                    kept.extend(
                        step.describe(images, patches)
                        for images, patches in zip(
                            windows,
                            tokens.patch_embeddings.split(
                                [len(images) for images in windows]
                            ),
                        )
                    )
        # (W * B, M, h, w) to (B, W, M, h, w).
        logits = _by_windows(torch.cat(parts), count)
        for kept, step in zip(features, self.refine):
            if step.at_patches:
                described = _by_windows(torch.cat(kept), count)
                places = window_places(
                    boxes, tuple(logits.shape[3:]), logits.device
                )
                logits = torch.stack(
                    [
                        step.refine_patches(own, theirs, places)
                        for own, theirs in zip(logits, described)
                    ]
                )
        return self._join(inputs, boxes, logits, metas)

    def _encode(
        self, inputs: Tensor, boxes: Boxes, scope: Tensor | None
    ) -> Iterator[tuple[Sequence[Tensor], CLIPTokens]]:
        """Yield windows and their tokens, some or all at a time.

        The windows (w * B, 3, h, w) come in parts that fit in memory.
        """
        parts = [
            (some, torch.cat([inputs[..., y, x] for y, x in some]))
            for some in self._some(inputs, boxes)
        ]
        if scope is None and self.windows == 'apart':
            for _, windows in parts:
                features = self.extract_feat(windows)
                yield [windows], find_tokens(features, type(self).__name__)
            return
        joint = self.windows == 'joint'
        encoded = encode_windows(
            self.backbone, iter(parts), scope, joint=joint
        )
        if joint:
            yield [windows for _, windows in parts], next(encoded)
        else:
            yield from zip([[windows] for _, windows in parts], encoded)

    def _join(
        self, inputs: Tensor, boxes: Boxes, logits: Tensor, metas: list[dict]
    ) -> Tensor:
        """Return the mean over windows of the logits of classes.

        Args:
            inputs: Images, (B, 3, H, W).
            boxes: Rows and columns of each window.
            logits: Logits of texts at the patches, (B, W, M, h, w).
            metas: Meta information of each image.

        Returns:
            (B, K, H, W).
        """
        batch, size = len(inputs), inputs.shape[2:]
        total = inputs.new_zeros(batch, self.out_channels, *size)
        count = inputs.new_zeros(1, 1, *size)
        first = 0
        for some in self._some(inputs, boxes):
            own = logits[:, first : first + len(some)]
            first += len(some)
            y, x = some[0]
            shape = torch.Size([y.stop - y.start, x.stop - x.start])
            classes = self.decode_head.classify(
                own.transpose(0, 1).flatten(0, 1),
                [dict(meta, img_shape=shape) for _ in some for meta in metas],
            )
            for (y, x), part in zip(some, classes.split(batch)):
                total[..., y, x] += part
                count[..., y, x] += 1
        return total.div_(count)

    def _boxes(self, inputs: Tensor) -> Boxes:
        size = tuple(inputs.shape[2:])
        if self.test_cfg.get('mode', 'whole') == 'whole':
            return window_boxes(size, size, size)
        return window_boxes(
            size, _pair(self.test_cfg.crop_size), _pair(self.test_cfg.stride)
        )

    def _some(self, inputs: Tensor, boxes: Boxes) -> Iterator[Boxes]:
        """Yield as many windows as go through the network together."""
        at_once = self.windows_at_once(len(inputs), boxes[0])
        for first in range(0, len(boxes), at_once):
            yield boxes[first : first + at_once]

    def _colors(self, inputs: Tensor) -> Tensor:
        """Return the colours of images in [0, 1], (B, 3, H, W)."""
        preprocessor = self.data_preprocessor
        colors = inputs.float()
        if getattr(preprocessor, '_enable_normalize', False):
            colors = colors * preprocessor.std + preprocessor.mean
        return colors / 255


def _by_windows(values: Tensor, count: int) -> Tensor:
    """Arrange (W * B, ...), window after window, as (B, W, ...)."""
    return values.unflatten(0, (count, -1)).transpose(0, 1)
