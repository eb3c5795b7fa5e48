"""The field's four numbers for a trained network, in one pass over the data.

Papers on weakly supervised segmentation score networks from a single view or
from several scales and flips, with or without a dense CRF, and often do not
say which. ``weakclip test --protocol`` reports all four:
:class:`SingleAndViews` loads the views, ``ProtocolTTAModel`` predicts them,
and :class:`ProtocolMetric` scores them. The metric alone is a CRF at test time
for any config.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS, TRANSFORMS
from prettytable import PrettyTable
from torch import Tensor

from mmseg_weakclip.common.images import read_color_image
from mmseg_weakclip.datasets.configs import iter_dicts
from mmseg_weakclip.evaluation.areas import (
    activate,
    class_areas,
    class_ious,
    iou_table,
)
from mmseg_weakclip.models.refine.crf_params import (
    CRFParams,
    resolve_crf_params,
)
from mmseg_weakclip.models.refine.dense_crf import dense_crf

# Key of a score -> what the table calls it.
LINES = {
    'single': 'single view',
    'multi': 'multi-scale + flip',
    'single_crf': 'single view + CRF',
    'multi_crf': 'multi-scale + flip + CRF',
}
FUSED = ('logits', 'probabilities')
AVERAGING = ('RunningTTAModel', 'mmseg_weakclip.RunningTTAModel')


@TRANSFORMS.register_module()
class SingleAndViews(BaseTransform):
    """Load an image as a test does, and as a test with several views does.

    Args:
        single: Test pipeline of one view.
        views: Test pipeline that ends with ``TestTimeAug``.
    """

    def __init__(self, single: Sequence[dict], views: Sequence[dict]) -> None:
        self.single = Compose(single)
        self.views = Compose(views)

    def transform(self, results: dict) -> dict[str, list]:
        """Run both pipelines.

        Args:
            results: Entry of a data set.

        Returns:
            ``inputs`` and ``data_samples`` of all views, the single one
            first; its sample has the number of the equal view, if there is
            one, as ``same_view``.
        """
        one = self.single(deepcopy(results))
        many = self.views(deepcopy(results))
        flip = one['data_samples'].get('flip', False)
        same = [
            index
            for index, (image, sample) in enumerate(
                zip(many['inputs'], many['data_samples'])
            )
            if torch.equal(image, one['inputs'])
            and bool(sample.get('flip', False)) == bool(flip)
        ]
        one['data_samples'].set_metainfo(
            dict(same_view=same[0] if same else None)
        )
        return {key: [one[key], *many[key]] for key in one}


@METRICS.register_module()
class ProtocolMetric(BaseMetric):
    """mIoU of a network before and after a dense CRF, in one table.

    Scores come from what a sample has: the logits of one view
    (``seg_logits``), the average of several (``seg_scores`` of
    ``RunningTTAModel``), or both (``ProtocolTTAModel``). Areas are summed over
    all images. Images without truth are passed over.

    Args:
        crf: Preset or arguments of ``CRFParams``; None for no CRF.
        fused: What the views' average is of: ``'probabilities'``, or
            ``'logits'``, which get a softmax before the CRF.
        activation: Of the single view's logits, see ``activate``.
        per_class: Whether to log the IoU of each class besides the mean.
        ignore_index: Id of the pixels of the truth that do not count.
        crf_backend: See ``dense_crf``.
        kwargs: See ``BaseMetric``.

    Raises:
        ValueError: There is no such preset, fusion or activation.
    """

    def __init__(
        self,
        crf: CRFParams | str | Mapping[str, float] | None = 'deeplab',
        *,
        fused: str = 'probabilities',
        activation: str = 'softmax',
        per_class: bool = False,
        ignore_index: int = 255,
        crf_backend: str = 'auto',
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if fused not in FUSED:
            raise ValueError(
                f'fused={fused!r} of ProtocolMetric must be one of {FUSED}'
            )
        self.crf = None if crf is None else resolve_crf_params(crf)
        self.fused = fused
        self.activation = activation
        self.per_class = per_class
        self.ignore_index = ignore_index
        self.crf_backend = crf_backend

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the areas of each prediction; see ``BaseMetric.process``."""
        for sample in data_samples:
            if 'gt_sem_seg' not in sample:
                # Ranks are merged sample by sample: keep the places. None
                # would be dropped there.
                self.results.append({})
                continue
            truth = sample['gt_sem_seg']['data'][0].cpu().numpy()
            num_classes = len(self._classes)
            self.results.append(
                {
                    key: class_areas(
                        scores.argmax(0).cpu().numpy(),
                        truth,
                        num_classes,
                        self.ignore_index,
                    )
                    for key, scores in self._scores(sample).items()
                }
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the areas, and log the table; see ``BaseMetric``.

        Returns:
            mIoU in percent by prediction, such as ``mIoU_multi_crf``; empty
            if no image has truth.
        """
        logger = MMLogger.get_current_instance()
        scored = [result for result in results if result]
        logger.info('%d of %d images have truth', len(scored), len(results))
        if not scored:
            return {}
        ious = {
            key: class_ious(sum(result[key] for result in scored))
            for key in LINES
            if key in scored[0]
        }
        table = PrettyTable(['prediction', 'mIoU'])
        for key, values in ious.items():
            table.add_row([LINES[key], f'{np.nanmean(values):.2f}'])
        logger.info('\n%s', table.get_string())
        if self.per_class:
            columns = {LINES[key]: values for key, values in ious.items()}
            logger.info('\n%s', iou_table(self._classes, **columns))
        return {
            f'mIoU_{key}': round(float(np.nanmean(values)), 2)
            for key, values in ious.items()
        }

    @property
    def _classes(self) -> Sequence[str]:
        return self.dataset_meta['classes']

    def _scores(self, sample: dict) -> dict[str, Tensor]:
        """Return the scores of each prediction, (K, H, W), by its key."""
        found: dict[str, Tensor] = {}
        if 'seg_logits' in sample:
            logits = sample['seg_logits']['data']
            found['single'] = activate(logits, self.activation)
        if 'seg_scores' in sample:
            scores = sample['seg_scores']['data']
            fused = self.fused == 'logits'
            found['multi'] = activate(scores, 'softmax' if fused else 'none')
        if self.crf is None:
            return found
        keys = list(found)
        stacked = torch.stack([found[key] for key in keys])
        images = _read_image(sample['img_path'], stacked)
        refined = dense_crf(
            images.expand(len(keys), -1, -1, -1),
            stacked,
            self.crf,
            backend=self.crf_backend,
        )
        return {**found, **{f'{k}_crf': v for k, v in zip(keys, refined)}}


def _read_image(path: str, scores: Tensor) -> Tensor:
    """Return the image that scores, (V, K, H, W), belong to, (1, 3, H, W).

    Raises:
        ValueError: It has another size than the scores.
    """
    pixels = np.ascontiguousarray(read_color_image(path)[..., ::-1])
    if pixels.shape[:2] != tuple(scores.shape[2:]):
        raise ValueError(
            f'{path} has {pixels.shape[:2]} pixels, its scores '
            f'{tuple(scores.shape[2:])}: a CRF needs scores at the size of '
            'the image; the test pipeline must keep ori_shape'
        )
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    return image.to(scores.device)


def use_protocol(
    cfg: Config, crf: str | None = None, *, per_class: bool = False
) -> None:
    """Switch a config's test to the four numbers.

    Args:
        cfg: Whole config, changed in place.
        crf: Preset of the CRF; the config's own, ``protocol.crf``, by
            default.
        per_class: See :class:`ProtocolMetric`.

    Raises:
        ValueError: The config has no single view or no several ones, averages
            something else than the scores of a network, or the preset is
            unknown.
    """
    missing = [
        key for key in ('tta_model', 'tta_pipeline') if not cfg.get(key)
    ]
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    if dataset is None or 'pipeline' not in dataset:
        missing.append('test_dataloader.dataset.pipeline')
    if missing:
        raise ValueError(
            f'the four numbers need {", ".join(missing)} in the config'
        )
    averaging = cfg.tta_model.get('type')
    if averaging not in AVERAGING or _needs_labels(cfg):
        raise ValueError(
            'the four numbers are of networks that need no image labels and '
            'whose views RunningTTAModel averages; this config makes masks '
            f'from labels, or has tta_model={averaging}'
        )
    own = dict(cfg.get('protocol') or {})
    if crf is not None:
        own['crf'] = crf
    if own.setdefault('crf', 'deeplab') is not None:
        resolve_crf_params(own['crf'])
    is_logits = cfg.tta_model.get('activation', 'softmax') == 'none'
    dataset.pipeline = [
        dict(
            type='SingleAndViews',
            single=dataset.pipeline,
            views=cfg.tta_pipeline,
        )
    ]
    model = dict(cfg.tta_model, type='ProtocolTTAModel', module=cfg.model)
    cfg.model = model
    cfg.test_evaluator = dict(
        type='ProtocolMetric',
        fused='logits' if is_logits else 'probabilities',
        per_class=per_class,
        **own,
    )


def _needs_labels(cfg: Config) -> bool:
    return any(
        part.get('use_labels') for part in iter_dicts(cfg.test_evaluator)
    )
