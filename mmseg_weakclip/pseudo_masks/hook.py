"""Go on with a folder of pseudo masks where it was left."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn
from torch.utils.data import Subset

from .writer import PseudoMaskWriter


def hash_weights(model: nn.Module) -> str:
    """A digest of all that a model has learnt or was given.

    Frozen CLIP towers take part by their fingerprint.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        raw = value.detach().cpu().contiguous().flatten()
        digest.update(raw.view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


class _Remaining(Subset):
    """The images that are not finished; keeps the metainfo."""

    @property
    def metainfo(self) -> dict:
        return self.dataset.metainfo


@HOOKS.register_module()
class PseudoMaskHook(Hook):
    """Open the test loop's ``PseudoMaskWriter`` and skip finished images.

    Masks count as finished only with the same weights, model, views and
    writer settings; the writer refuses a folder made otherwise.
    """

    # Class names come first (VERY_HIGH): they are part of the model.
    priority = 'HIGH'

    def before_test(self, runner: Runner) -> None:
        """See ``Hook``.

        Raises:
            ValueError: The folder holds masks made otherwise.
        """
        writers = [
            metric
            for metric in runner.test_evaluator.metrics
            if isinstance(metric, PseudoMaskWriter)
        ]
        if not writers:
            return
        settings = self._describe(runner)
        dataset = runner.test_dataloader.dataset
        ids = [_image_id(dataset, i) for i in range(len(dataset))]
        done = set(ids)
        for writer in writers:
            done &= writer.open(settings).keys()
        barrier()
        remaining = [
            i for i, image_id in enumerate(ids) if image_id not in done
        ]
        runner.logger.info(
            '%d of %d pseudo masks are finished already',
            len(ids) - len(remaining),
            len(ids),
        )
        if len(remaining) < len(ids):
            self._restrict(runner, remaining)

    def _describe(self, runner: Runner) -> dict[str, Any]:
        model = (
            runner.model.module
            if is_model_wrapper(runner.model)
            else runner.model
        )
        module = model.module if isinstance(model, BaseTTAModel) else model
        cfg = runner.cfg.to_dict()
        return dict(
            weights=hash_weights(module),
            model=cfg['model'],
            pipeline=cfg['test_dataloader']['dataset']['pipeline'],
        )

    def _restrict(self, runner: Runner, remaining: list[int]) -> None:
        loop = runner.test_loop
        cfg = dict(runner.cfg.test_dataloader.to_dict())
        cfg['dataset'] = _Remaining(loop.dataloader.dataset, remaining)
        # Even shares for all ranks would need an image to repeat.
        cfg['sampler'] = dict(
            type='DefaultSampler', shuffle=False, round_up=False
        )
        loop.dataloader = runner.build_dataloader(cfg, seed=runner.seed)


def _image_id(dataset, index: int) -> str:
    return Path(dataset.get_data_info(index)['img_path']).stem
