"""What the configs of all stages have in common."""

from typing import Any

from mmengine.config import Config

from .run import Run


def describe_images(run: Run, split: str, **settings: Any) -> dict[str, Any]:
    """The data set of one list of images.

    Args:
        run: The run.
        split: Name of the list in ``data/``, without its suffix.
        settings: More arguments of ``WeakSegDataset``.
    """
    return dict(
        type='WeakSegDataset',
        data_root=str(run.data),
        ann_file=f'{split}.txt',
        metainfo=dict(
            classes=list(run.classes.names), palette=run.classes.palette
        ),
        **{'data_prefix': dict(img_path='images'), **settings},
    )


def set_machine(cfg: Config, run: Run) -> None:
    """Workers of the loaders, and seed of all random numbers."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader:
            loader.num_workers = min(loader.num_workers, run.workers)
            loader.persistent_workers = loader.num_workers > 0
    cfg.randomness = dict(seed=run.options.seed)


def set_test_batch(loader: dict[str, Any], run: Run) -> None:
    """Have a loader of whole images take one at a time if sizes differ."""
    if len({(entry.width, entry.height) for entry in run.entries}) > 1:
        loader['batch_size'] = 1
