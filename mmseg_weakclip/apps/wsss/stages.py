"""The stages of each method, in their order."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mmengine.config import Config

from . import second_round
from .method_configs import (
    iterations_of,
    label_refine_config,
    refine_config,
    seeds_config,
    tags_config,
    training_config,
    weakclip_masks_config,
)
from .options import SEEDS
from .run import Run
from .segmenter_configs import (
    load_segmenter,
    predict_config,
    segmenter_config,
    segmenter_iterations,
)


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Attributes:
        name: Key of the stage; also of its config, its log and, mostly, its
            folder.
        title: Title in messages and reports.
        kind: Command: ``'data'``, ``'train'``, ``'test'``, ``'tags'`` (a test
            without masks), ``'refine'``, ``'report'``, or a step of this
            process: ``'import'``, ``'join'``, ``'score'``, ``'results'``.
        reads: Stages whose outputs this one needs.
        folder: Output folder, relative to the run's; '' for the run's own.
        config: Function that makes the config; None without a config.
        weights: Training stage whose checkpoint this one loads, or ''.
        source: Folder of the class maps or masks, for refinements.
    """

    name: str
    title: str
    kind: str
    reads: tuple[str, ...] = ()
    folder: str = ''
    config: Callable[[Run], Config] | None = None
    weights: str = ''
    source: str = ''


def stages_of(
    method: str, rounds: int = 1, *, joined: bool = False
) -> list[Stage]:
    """Return all stages of a method.

    Args:
        method: Name of the method.
        rounds: 2 for a second segmenter, on the masks of the first.
        joined: Whether its masks are joined with another tool's: before
            WeakCLIP, which learns from masks with open pixels and fills them,
            or else before the segmenter.
    """
    if method == SEEDS:
        return [
            _DATA,
            Stage('seeds', 'read the masks', 'import', ('data',), 'seeds'),
            _label_refinement('masks', 'refine to pseudo masks', 'seeds'),
            *_last_stages('masks', ('seeds', 'masks'), rounds, ('seeds',)),
        ]
    seeds = {
        'weakclip': 'clipes',
        'excel+weakclip': 'excel',
        'cam+weakclip': 'cam',
    }.get(method, method)
    stages = [_DATA]
    if joined:
        # First, since its mistakes are the user's to correct.
        stages += [
            Stage('outside', 'read the masks', 'import', ('data',), 'outside'),
            _label_refinement(
                'refined_outside', 'refine these masks', 'outside'
            ),
        ]
    weights = ''
    if seeds == 'clims':
        weights = 'clims'
        stages += [
            _training('classifier', 'train a classifier'),
            _training('clims', 'train CLIMS', ('classifier',)),
        ]
    if seeds == 'cam':
        weights = 'cam'
        stages += [
            _training('cam', 'train a classifier'),
            Stage(
                'tags',
                'check the classifier',
                'tags',
                ('data', 'cam'),
                'tags',
                tags_config,
                'cam',
            ),
        ]
    stages.append(
        Stage(
            'seeds',
            'make seeds',
            'test',
            ('data', *([weights] if weights else [])),
            'seeds',
            partial(seeds_config, kind=seeds),
            weights,
        )
    )
    before = 'refined_seeds'
    if 'weakclip' in method or joined:
        stages.append(_refinement('refined_seeds', 'refine the seeds', seeds))
    else:
        before = 'masks'
        stages.append(_refinement('masks', 'refine to pseudo masks', seeds))
    if joined:
        before = 'joined'
        stages.append(
            Stage(
                'joined',
                'join the masks of both',
                'join',
                ('data', 'refined_seeds', 'refined_outside'),
                joined_folder(method),
            )
        )
    if 'weakclip' in method:
        stages += [
            _training('weakclip', 'train WeakCLIP', (before,), before),
            Stage(
                'masks',
                'make pseudo masks',
                'test',
                ('data', 'weakclip'),
                'masks',
                weakclip_masks_config,
                'weakclip',
            ),
        ]
        before = 'masks'
    if not joined:
        return stages + _last_stages(before, ('seeds', before), rounds)
    scored = ('seeds', 'refined_seeds', 'refined_outside', before)
    return stages + _last_stages(before, scored, rounds, ('outside',))


def joined_folder(method: str) -> str:
    """Return the folder of a method's masks joined with another tool's."""
    return 'joined' if 'weakclip' in method else 'masks'


_DATA = Stage('data', 'check the data', 'data', folder='data')


def _last_stages(
    masks: str,
    scored: tuple[str, ...],
    rounds: int,
    imported: tuple[str, ...] = (),
) -> list[Stage]:
    """Return the stages behind the pseudo masks.

    Args:
        masks: Stage of the masks to train on.
        scored: Stages of the masks to score.
        rounds: 2 for a second segmenter.
        imported: Stage whose findings are among the results, if any.
    """
    trained = 'segmenter'
    stages = [
        Stage(
            trained,
            'train the segmenter',
            'train',
            ('data', masks),
            trained,
            segmenter_config,
        )
    ]
    if rounds > 1:
        earlier, first = masks, trained
        masks, trained = second_round.MASKS, second_round.LAST
        scored += (masks,)
        stages += [
            Stage(
                masks,
                'make masks anew',
                'test',
                ('data', earlier, first),
                masks,
                second_round.second_masks_config,
                first,
            ),
            Stage(
                trained,
                'train the segmenter anew',
                'train',
                ('data', masks),
                trained,
                partial(segmenter_config, masks=masks, folder=trained),
            ),
        ]
    return stages + [
        Stage(
            'predict',
            'predict all images',
            'test',
            ('data', trained),
            'predictions',
            predict_config,
            trained,
        ),
        Stage('score', 'score where masks exist', 'score',
              ('data', *scored, 'predict')),
        Stage('results', 'collect the results', 'results',
              ('data', *imported, masks, 'predict'), 'results'),
        Stage('report', 'write the report', 'report',
              ('data', *imported, *scored, 'predict', 'score')),
    ]  # fmt: skip


def _training(
    name: str, title: str, reads: tuple[str, ...] = (), masks: str = ''
) -> Stage:
    return Stage(
        name,
        title,
        'train',
        ('data', *reads),
        name,
        partial(training_config, kind=name, masks=masks or None),
    )


def _refinement(name: str, title: str, seeds: str) -> Stage:
    return Stage(
        name,
        title,
        'refine',
        ('data', 'seeds'),
        name,
        partial(refine_config, kind=seeds),
        source='seeds',
    )


def _label_refinement(name: str, title: str, source: str) -> Stage:
    return Stage(
        name,
        title,
        'refine',
        ('data', source),
        name,
        label_refine_config,
        source=source,
    )


def training_iterations(run: Run, stage: Stage) -> int:
    """Return the number of iterations of a training stage."""
    if stage.name in ('segmenter', second_round.LAST):
        return segmenter_iterations(run, load_segmenter(run))
    return iterations_of(run, stage.name)


def checkpoint_name(run: Run, stage: Stage) -> str:
    """Return the last checkpoint of a training, relative to the run."""
    return f'{stage.folder}/iter_{training_iterations(run, stage)}.pth'
