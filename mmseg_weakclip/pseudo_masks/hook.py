"""Hook that opens the pseudo mask writers and skips finished images."""

import hashlib
import inspect
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, get_world_size
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS
from torch import nn
from torch.utils.data import Subset

from mmseg_weakclip.datasets.configs import iter_base_datasets

from .writer import PseudoMaskWriter

# Parts of the config that go into the settings of a folder.
DESCRIBED = ('model', 'test_dataloader')


def hash_weights(model: nn.Module) -> str:
    """Return a digest of all parameters and buffers of a model.

    Frozen CLIP towers take part by their fingerprint.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        raw = value.detach().cpu().contiguous().flatten()
        digest.update(raw.view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


class _Remaining(Subset):
    """Images that are not finished, with the metainfo of the whole set."""

    dataset: Any

    @property
    def metainfo(self) -> dict:
        return self.dataset.metainfo

    def get_data_info(self, idx: int) -> dict:
        return self.dataset.get_data_info(self.indices[idx])


@HOOKS.register_module()
class PseudoMaskHook(Hook):
    """Open the test loop's ``PseudoMaskWriter`` and skip finished images.

    Masks count as finished only with the same weights, model, views and
    writer settings; the writer refuses a folder made with others.

    Configs need not list this hook: the writer adds it to its runner, see
    :func:`add_hook`.
    """

    # Class names come first (VERY_HIGH): they are part of the model.
    priority = 'HIGH'

    def before_test(self, runner: Runner) -> None:
        """Open the writers and take finished images out of the data.

        Raises:
            ValueError: The folder holds masks made with other settings, or
                the runner has no config to compare.
        """
        writers = [
            metric
            for metric in runner.test_evaluator.metrics
            if isinstance(metric, PseudoMaskWriter)
        ]
        if not writers:
            return
        settings = self._describe(runner)
        finished = [writer.open(settings).keys() for writer in writers]
        barrier()
        ids = _image_ids(runner.test_dataloader.dataset)
        if ids is None:
            return  # The writers skip what is finished.
        done = set(ids).intersection(*finished)
        remaining = [
            i for i, image_id in enumerate(ids) if image_id not in done
        ]
        runner.logger.info(
            '%d of %d pseudo masks are finished already',
            len(ids) - len(remaining),
            len(ids),
        )
        # Of equal shares, some ranks would write the first images again.
        if len(remaining) < len(ids) or get_world_size() > 1:
            self._restrict(runner, remaining)

    def _describe(self, runner: Runner) -> dict[str, Any]:
        model = (
            runner.model.module
            if is_model_wrapper(runner.model)
            else runner.model
        )
        module = model.module if isinstance(model, BaseTTAModel) else model
        cfg = runner.cfg.to_dict()
        missing = [key for key in DESCRIBED if key not in cfg]
        if missing:
            raise ValueError(
                f"the runner's cfg has no {' and no '.join(missing)}, so "
                'PseudoMaskWriter cannot record how its masks were made: '
                'build the runner with Runner.from_cfg'
            )
        pipelines = [
            part.get('pipeline')
            for part in iter_base_datasets(cfg['test_dataloader']['dataset'])
        ]
        settings = dict(
            weights=hash_weights(module),
            model=cfg['model'],
            pipeline=pipelines[0] if len(pipelines) == 1 else pipelines,
        )
        dtype = getattr(runner.test_loop, 'amp_dtype', None)
        # Folders begun before there was this choice go on.
        if dtype is not None:
            settings['precision'] = str(dtype).removeprefix('torch.')
        return settings

    def _restrict(self, runner: Runner, remaining: list[int]) -> None:
        loop = runner.test_loop
        cfg = dict(runner.cfg.test_dataloader.to_dict())
        cfg['dataset'] = _Remaining(loop.dataloader.dataset, remaining)
        # Even shares for all ranks would need an image to repeat.
        cfg['sampler'] = dict(
            type='DefaultSampler', shuffle=False, round_up=False
        )
        loop.dataloader = runner.build_dataloader(cfg, seed=runner.seed)


def _image_ids(dataset: Any) -> list[str] | None:
    """Return the id of each image; None if the data set cannot tell."""
    if not hasattr(dataset, 'get_data_info'):
        return None
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    return [Path(info['img_path']).stem for info in infos]


def add_hook() -> None:
    """Give the runner whose loop is being built a ``PseudoMaskHook``.

    mmengine gives a metric its data set, but not its runner. So the loop is
    looked for among the callers. A runner that has the hook gets no second
    one; without a loop, as in a unit test, nothing happens.
    """
    frame = inspect.currentframe()
    while frame is not None:
        loop = frame.f_locals.get('self')
        if isinstance(loop, BaseLoop):
            hooks = loop.runner.hooks
            if not any(isinstance(hook, PseudoMaskHook) for hook in hooks):
                loop.runner.register_hook(PseudoMaskHook())
            return
        frame = frame.f_back
