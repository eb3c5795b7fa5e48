"""Metric that writes pseudo masks in the test loop."""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS
from torch import Tensor

from mmseg_weakclip.common.masks import check_class_count
from mmseg_weakclip.common.region_files import describe_regions
from mmseg_weakclip.common.workers import worker_context
from mmseg_weakclip.evaluation.areas import (
    class_ious,
    iou_table,
    sample_scores,
)

from .refiner import Refiner, RefineTask, set_up_worker
from .store import MaskStore, sum_areas


@METRICS.register_module()
class PseudoMaskWriter(BaseMetric):
    """Write a refined mask for each test image, and score it.

    Scores stay in memory: ``RunningTTAModel`` averages the views, the classes
    that an image does not have are dropped, PAR or a dense CRF runs in worker
    processes (or on the GPU), and a palette PNG is written. Where truth
    exists, the mask is scored before and after refinement. Images finished by
    an earlier run with the same model and settings are not run again; another
    model or other settings are refused. ``PseudoMaskHook`` sees to both; the
    writer adds it to its runner where ``custom_hooks`` has none.

    Args:
        output_dir: Folder of the masks; see :class:`MaskStore`.
        par: Preset (``'par'``, ``'pamr'``) or arguments of
            ``refine_by_pixels``; None for no PAR.
        crf: Preset or arguments of ``CRFParams`` for a CRF, which runs after
            PAR; None for no CRF. Without both the plain argmax is written.
        crf_backend: See ``dense_crf``.
        use_labels: Whether only the image's own classes may be predicted.
        min_score: Pixels whose best refined score is lower become
            ``ignore_index`` (CLIP-ES: 0.95). 0 ignores none.
        activation: ``'softmax'``, or ``'none'`` for CAM heads.
        colors: Where PAR and CRF see the image: ``'file'``, its own pixels,
            or ``'input'``, the network's input, enlarged to the image's size,
            as in ExCEL's code. The latter needs a test with one view.
        score_stride: Side, in pixels, of the cells over which CAMs are
            averaged when they are stored beside the masks (``save_scores``);
            ``tools/refine_seeds.py`` makes other masks of stored CAMs without
            CLIP. None stores none.
        regions: Regions that vote on the classes after PAR and CRF:
            ``folder`` of their files, written by ``weakclip regions``, and
            arguments of ``refine_by_regions``; None for no regions.
        flips: Pixels that become ``ignore_index`` because the CRF gives them
            another class when it trusts a class more or less (URN); see
            ``Refiner``. None ignores none.
        sure_share: Share of each class's pixels that keep their class in the
            mask, those that are surest at the end; the others become
            ``ignore_index``. They count in the scores against the truth.
        transport: Arguments of ``transport_cams``, by which the image's
            classes and its background compete for the pixels before PAR and
            the CRF; None for no transport.
        keep_lost: Folder of earlier masks of the images. A class of the image
            without a pixel in its mask takes the pixels that it has there, so
            that no network is taught that it is background. None takes
            nothing.
        workers: Number of processes that refine. 0 refines in this process,
            on the device of the scores; None is 0 on a machine with a GPU,
            else the number of processors.
        ignore_index: Id of pixels of the truth that do not count, and of
            those that ``min_score``, ``flips`` and ``sure_share`` ignore.
        kwargs: See ``BaseMetric``.
    """

    default_prefix = 'pseudo_mask'

    def __init__(
        self,
        output_dir: str,
        *,
        par: str | dict | None = None,
        crf: str | dict | None = None,
        crf_backend: str = 'auto',
        use_labels: bool = False,
        min_score: float = 0.0,
        activation: str = 'softmax',
        colors: str = 'file',
        score_stride: int | None = None,
        regions: dict | None = None,
        flips: dict | None = None,
        sure_share: float = 1.0,
        transport: dict | None = None,
        keep_lost: str | None = None,
        workers: int | None = None,
        ignore_index: int = 255,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if colors not in ('file', 'input'):
            raise ValueError(f"colors={colors!r} must be 'file' or 'input'")
        self.settings = dict(
            par=par,
            crf=crf,
            crf_backend=crf_backend,
            use_labels=use_labels,
            min_score=min_score,
            activation=activation,
            ignore_index=ignore_index,
            score_stride=score_stride,
        )
        # Folders begun before there was this choice go on.
        if colors != 'file':
            self.settings['colors'] = colors
        self.colors = colors
        self.refiner = Refiner(
            par,
            crf,
            crf_backend,
            min_score,
            ignore_index,
            score_stride,
            regions,
            flips,
            sure_share,
            transport,
            keep_lost,
        )
        if keep_lost is not None:
            if not use_labels:
                raise ValueError(
                    'keep_lost needs the classes of each image: set '
                    'use_labels=True'
                )
            # Both folders may move.
            self.settings['keep_lost'] = os.path.relpath(keep_lost, output_dir)
        if transport is not None:
            self.settings['transport'] = dict(transport)
        if sure_share < 1:
            self.settings['sure_share'] = sure_share
        if flips is not None:
            self.settings['flips'] = dict(flips)
        if regions is not None:
            self.settings['regions'] = describe_regions(regions)
        self.use_labels = use_labels
        self.activation = activation
        if workers is None:
            workers = 0 if torch.cuda.is_available() else os.cpu_count() or 1
        self._pool_size = workers
        self.store = MaskStore(output_dir, get_rank())
        self._finished: set[str] | None = None
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: deque[Future] = deque()

    @property
    def dataset_meta(self) -> Any:  # None until it is set
        """Meta information of the data set; see ``BaseMetric``."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Take the classes; the test loop sets them when it is built."""
        from .hook import add_hook  # which knows this class

        check_class_count(dataset_meta.get('classes') or ())
        self._dataset_meta = dataset_meta
        add_hook()

    def open(self, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Begin the folder, or continue it, before the first image.

        Args:
            settings: What the masks depend on besides this writer: the model
                and the views.

        Returns:
            Records of the images that are finished already, by id.

        Raises:
            ValueError: The folder holds masks made with other settings.
        """
        self.store.open(
            dict(
                settings,
                classes=self.dataset_meta['classes'],
                writer=self.settings,
            )
        )
        finished = self.store.finished()
        self._finished = set(finished)
        return finished

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Refine, write and score; see ``BaseMetric.process``.

        Images that are finished already are passed over.

        Raises:
            RuntimeError: :meth:`open` was not called.
            ValueError: Labels are asked for and a sample has none, or the
                colours of an input and there are several views.
        """
        if self._finished is None:
            raise RuntimeError(
                'PseudoMaskWriter was not opened: it works as the '
                'test_evaluator of a Runner, where PseudoMaskHook opens it; '
                'elsewhere call its open() first'
            )
        inputs = [None] * len(data_samples)
        if self.colors == 'input':
            inputs = self._single_views(data_batch)
        for sample, view in zip(data_samples, inputs):
            if Path(sample['img_path']).stem in self._finished:
                continue
            task = self._make_task(sample, view)
            if self._pool_size and self.refiner.refines:
                self._submit(task)
            else:
                self._keep(self.refiner(task))

    @staticmethod
    def _single_views(data_batch: dict) -> list[Tensor]:
        inputs = list(data_batch['inputs'])
        if not all(isinstance(view, Tensor) for view in inputs):
            raise ValueError(
                "PseudoMaskWriter has colors='input', but the test makes "
                'several views of an image: run it without --tta, or set '
                "colors='file'"
            )
        return inputs

    def _make_task(self, sample: dict, view: Tensor | None) -> RefineTask:
        scores = sample_scores(sample, self.activation)
        if self.use_labels:
            if 'image_labels' not in sample:
                raise ValueError(
                    f'{sample["img_path"]} comes without image labels: add '
                    "LoadImageLabels to the test pipeline and 'image_labels' "
                    'to the meta_keys of PackSegInputs, or set '
                    'use_labels=False'
                )
            keep = [0, *sample['image_labels']]
        else:
            keep = scores.argmax(0).unique().tolist()
        truth = None
        if 'gt_sem_seg' in sample:
            truth = sample['gt_sem_seg']['data'].squeeze(0)
            truth = truth.cpu().numpy().astype(np.uint8)
        return RefineTask(
            image_path=sample['img_path'],
            scores=scores[keep],
            classes=np.asarray(keep),
            truth=truth,
            palette=self.dataset_meta['palette'],
            num_classes=len(self.dataset_meta['classes']),
            folder=str(self.store.folder),
            view=view,
        )

    def _submit(self, task: RefineTask) -> None:
        if self._pool is None:
            context = worker_context('mmseg_weakclip.pseudo_masks.refiner')
            self._pool = ProcessPoolExecutor(
                self._pool_size, context, set_up_worker
            )
        task.scores = torch.as_tensor(task.scores).cpu().numpy()
        if task.view is not None:
            task.view = torch.as_tensor(task.view).cpu().numpy()
        self._waiting.append(self._pool.submit(self.refiner, task))
        # Bounds what waits in memory.
        while len(self._waiting) > 2 * self._pool_size:
            self._keep(self._waiting.popleft().result())

    def _keep(self, record: dict[str, Any]) -> None:
        self.store.finish(record)
        self.results.append(record)

    def evaluate(self, size: int) -> dict[str, float]:
        """Wait for the workers, then score; see ``BaseMetric.evaluate``."""
        while self._waiting:
            self._keep(self._waiting.popleft().result())
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        return super().evaluate(size)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Score all finished images, of this run and of earlier ones.

        See ``BaseMetric.compute_metrics``.
        """
        logger = MMLogger.get_current_instance()
        records = self.store.finished().values()
        logger.info(
            '%d masks in %s',
            len(records),
            self.store.folder.resolve() / 'masks',
        )
        bare = [r['id'] for r in records if r.get('regions') == 0]
        if bare:
            logger.info(
                '%d images have no regions, and keep their scores: %s',
                len(bare),
                ', '.join(bare[:5]),
            )
        lost = [r['id'] for r in records if r.get('lost')]
        if lost:
            logger.info(
                '%d masks had lost a class of their image, and take it from '
                'the earlier ones: %s',
                len(lost),
                ', '.join(lost[:5]),
            )
        scored = [record for record in records if 'raw' in record]
        if not scored:
            logger.info('no truth to score them with')
            return {}
        classes = self.dataset_meta['classes']
        columns = {
            stage: class_ious(areas)
            for stage, areas in sum_areas(scored, len(classes)).items()
        }
        logger.info(
            'IoU on %d images with truth:\n%s',
            len(scored),
            iou_table(classes, **columns),
        )
        return {
            f'{stage}_mIoU': round(float(np.nanmean(ious)), 2)
            for stage, ious in columns.items()
        }
