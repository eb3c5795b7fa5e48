"""What would stop or mislead a comparison, checked before the first method.

A method may take hours. An error of the third one must not wait for the first
two, and an option of an earlier call must not go on unseen in one of them.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.arguments import read_options
from mmseg_weakclip.apps.wsss.inputs.given import Sources
from mmseg_weakclip.apps.wsss.manifest import Manifest
from mmseg_weakclip.apps.wsss.options import PUBLISHED_CLIP, RANDOM, Options
from mmseg_weakclip.apps.wsss.outside.find import open_outside
from mmseg_weakclip.apps.wsss.outside.flags import check_apart

from .contenders import Contender, own_arguments

# Options that have no say in the masks: a run that went on has others.
AFTER_MASKS = ('segmenter', 'iterations', 'rounds', 'ignore_flips',
               'self_target', 'gpus', 'notes')  # fmt: skip


def check_runs(
    runs: Sequence[tuple[Contender, argparse.Namespace]],
    sources: Sources,
    chosen: Sequence[str],
    *,
    is_ordered: bool,
    truth: str | None = None,
) -> None:
    """Check the options of all runs, and the masks of other tools.

    Args:
        runs: Methods and the arguments of their runs.
        sources: Photos, tags and masks of the user.
        chosen: Paths of the photos that are compared.
        is_ordered: Whether the user gave the order of the classes.
        truth: The user's folder of true masks, of which the runs get a copy.

    Raises:
        UserError: The user has to correct something.
    """
    if sources.truth and not set(sources.truth) & set(chosen):
        raise UserError(
            f'of the {len(chosen)} chosen photos, none has a mask in '
            '--truth; give these photos tags, or a higher --limit'
        )
    for one, args in runs:
        try:
            options = _read_options(args, Manifest.load(one.folder))
            if one.seeds is not None:
                check_apart(one.seeds, truth)
                # The run gets the list of all methods, so that their ids are
                # the same. It is no order that the user gave.
                open_outside(
                    options, chosen, sources.classes, is_ordered=is_ordered
                )
        except UserError as error:
            raise UserError(f'{one.title}: {error}') from error


def _read_options(
    args: argparse.Namespace, before: Manifest | None
) -> Options:
    """Return the options of a run, which must all be of this call.

    Raises:
        UserError: One is wrong, or would be taken from an earlier call: the
            masks would then be others than those of the commands to go on.
    """
    options = read_options(args, None)
    if before is None:
        return options
    resumed = read_options(args, before)
    kept = [
        f'--{name.replace("_", "-")}' + f' {value}' * (value is not True)
        for name, value in vars(resumed).items()
        if value != getattr(options, name) and not name.startswith(AFTER_MASKS)
    ]
    if kept:
        raise UserError(
            f'{before.folder} was made with {" ".join(kept)}, which this call '
            'does not give; give it again, or choose another --work-dir'
        )
    return options


def check_clip(
    contenders: Sequence[Contender], given: Mapping[str, Any]
) -> None:
    """Check that CLIP's weights can be loaded.

    Args:
        contenders: All methods.
        given: Arguments of the user, those of ``weakclip run``.

    Raises:
        UserError: They cannot.
    """
    from mmseg_weakclip.apps.weights import check_weights

    clips = [one for one in contenders if one.uses_clip]
    if not clips:
        return
    values = own_arguments(clips[0], given)
    options = read_options(
        argparse.Namespace(**values, work_dir=str(clips[0].folder)), None
    )
    weights = options.clip_weights or 'openai'
    check_weights(
        [
            dict(
                model=options.clip or PUBLISHED_CLIP,
                pretrained=None if weights == RANDOM else weights,
            )
        ]
    )
