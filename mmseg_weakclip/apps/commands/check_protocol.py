"""Say how a config is scored, and how that differs from a paper's test.

    weakclip check-protocol configs/excel_voc.py --like excel

prints the split, the size of images, the views, what is averaged, the CRF and
the threshold of `weakclip test CONFIG CHECKPOINT --protocol`. With --like, the
same of a paper stands beside, and lines that differ are marked.

Exits with 1 if something differs from the paper, and with 2 for a config or
paper that is not there.
"""

import argparse
import difflib
import itertools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from prettytable import PrettyTable

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.common.overrides import add_override_flag, override
from mmseg_weakclip.common.resources import find_config, read_config
from mmseg_weakclip.datasets.configs import iter_base_datasets, iter_dicts
from mmseg_weakclip.evaluation.published_protocols import (
    LOGITS,
    PROBABILITIES,
    PUBLISHED_PROTOCOLS,
    PublishedProtocol,
)

# Preset that a config without `protocol` gets.
DEFAULT_CRF = 'deeplab'
UNSAID = 'not said'
ONE_VIEW = 'one'


def describe_config(cfg: Config) -> dict[str, str]:
    """Return how a config is scored, by what is described.

    Args:
        cfg: Whole config.

    Raises:
        UserError: It has no test.
    """
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    found = next(iter_base_datasets(dataset), None) if dataset else None
    if found is None or 'pipeline' not in found:
        raise UserError(
            f'{cfg.filename} has no test: give a config with a '
            'test_dataloader and its pipeline'
        )
    views = list(_views(cfg.get('tta_pipeline')))
    size, base = _size_of(found['pipeline'])
    relative = [(_relative(scale, base), flip) for scale, flip in views]
    scales = {scale for scale, _ in relative}
    flipped = {scale for scale, flip in relative if flip}
    averaged = (cfg.get('tta_model') or {}).get('activation', 'softmax')
    average_scale = (cfg.get('tta_model') or {}).get('average_scale', 1)
    fused = LOGITS if averaged == 'none' else PROBABILITIES
    return {
        'split': _split_of(found),
        'size': size,
        'scales inside': _inner_scales(cfg.model),
        'views': (
            _name_views(scales, bool(flipped), scales - flipped)
            if views
            else ONE_VIEW
        ),
        'fused': (
            _name_average(fused, average_scale) if len(views) > 1 else ONE_VIEW
        ),
        'CRF': _name_crf((cfg.get('protocol') or {}).get('crf', DEFAULT_CRF)),
        'threshold': _threshold(cfg.model),
    }


def describe_paper(paper: PublishedProtocol) -> dict[str, str]:
    """Return how a paper's network is scored, in the words for configs."""
    views = UNSAID
    fused = paper.fused and _name_average(paper.fused, paper.average_scale)
    if paper.has_one_view:
        views = fused = ONE_VIEW
    elif paper.scales is not None:
        views = _name_views(paper.scales, paper.flip, paper.unflipped)
    return {
        'split': paper.split,
        'size': paper.size or UNSAID,
        'scales inside': _join(paper.inner_scales),
        'views': views,
        'fused': fused or UNSAID,
        'CRF': UNSAID if paper.crf is None else _name_crf(paper.crf),
        'threshold': paper.threshold,
    }


def differences(ours: dict[str, str], paper: dict[str, str]) -> list[str]:
    """Return what differs; what a paper does not say is no difference."""
    return [
        key
        for key, value in ours.items()
        if UNSAID not in paper[key] and paper[key] != value
    ]


def _views(pipeline: Any) -> Iterator[tuple[Any, bool]]:
    """Yield size and flip of each view of ``TestTimeAug``."""
    for part in iter_dicts(pipeline or []):
        if part.get('type') != 'TestTimeAug':
            continue
        for view in itertools.product(*part['transforms']):
            transforms = list(iter_dicts(list(view)))
            resize = next(
                (t for t in transforms if t.get('type') == 'Resize'), {}
            )
            flip = any(
                t.get('type') == 'RandomFlip' and t.get('prob', 0) > 0
                for t in transforms
            )
            yield resize.get('scale_factor', resize.get('scale', 1.0)), flip


def _size_of(pipeline: Sequence[dict]) -> tuple[str, float | None]:
    """Return the size of images in words, and its side in pixels."""
    resize = next(
        (t for t in iter_dicts(list(pipeline)) if t.get('type') == 'Resize'),
        None,
    )
    if resize is None:
        return 'own', None
    if 'scale' not in resize:
        return f'own times {resize["scale_factor"]}', None
    width, height = resize['scale']
    if not resize.get('keep_ratio', False):
        return f'{height} x {width}', float(height)
    if width == height:
        return f'long side {width}', float(width)
    return f'short side {min(width, height)}', float(min(width, height))


def _relative(scale: Any, base: float | None) -> float:
    """Return the scale of a view relative to the size of a single one."""
    if isinstance(scale, (int, float)):
        return float(scale)
    return round(min(scale) / base, 2) if base else 0.0


def _name_views(
    scales: Collection[float],
    flip: bool | None,  # noqa: FBT001
    unflipped: Collection[float],
) -> str:
    name = _join(sorted(scales))
    if flip is None:
        return f'{name}; flip {UNSAID}'
    if not flip:
        return name
    rest = f' except {_join(sorted(unflipped))}' if unflipped else ''
    return f'{name}, each flipped too{rest}'


def _name_average(fused: str, scale: float) -> str:
    return fused if scale == 1 else f'{fused} at {scale:g} of the size'


def _join(scales: Sequence[float]) -> str:
    return ', '.join(f'{scale:g}' for scale in scales)


def _name_crf(preset: Any) -> str:
    """Return a CRF as tables write it: w/sxy; w/sxy/srgb."""
    if not preset:
        return 'none'
    from mmseg_weakclip.models.refine.crf_params import resolve_crf_params

    p = resolve_crf_params(preset)
    return (
        f'{p.gaussian_compat:g}/{p.gaussian_sxy:g}; {p.bilateral_compat:g}/'
        f'{p.bilateral_sxy:g}/{p.bilateral_srgb:g}'
    )


def _inner_scales(model: dict) -> str:
    if str(model.get('type')).endswith('MultiScaleSegmentor'):
        return _join((1.0, *model.get('scales', (0.75, 0.5))))
    return '1'


def _threshold(model: dict) -> str:
    for part in iter_dicts(model.get('decode_head') or {}):
        background = part.get('background')
        if isinstance(background, dict) and 'threshold' in background:
            return str(background['threshold'])
    return 'none'


def _split_of(dataset: dict) -> str:
    name = Path(str(dataset.get('ann_file') or '')).stem
    return name or 'all images'


def _find_paper(name: str) -> PublishedProtocol:
    if name in PUBLISHED_PROTOCOLS:
        return PUBLISHED_PROTOCOLS[name]
    near = difflib.get_close_matches(name, PUBLISHED_PROTOCOLS, 1, 0.5)
    hint = f'did you mean {near[0]}? ' if near else ''
    raise UserError(
        f'--like {name} is unknown; {hint}known: '
        f'{", ".join(PUBLISHED_PROTOCOLS)}'
    )


def _parse_args(
    argv: Sequence[str] | None, prog: str | None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'config', help='config file, or its name below configs/'
    )
    parser.add_argument(
        '--like',
        metavar='PAPER',
        help=f'paper to compare with: {", ".join(PUBLISHED_PROTOCOLS)}',
    )
    add_override_flag(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see ``--help``."""
    args = _parse_args(argv, prog)
    paper = None if args.like is None else _find_paper(args.like)
    path = args.config
    if not Path(path).is_file():
        try:
            path = find_config(path)
        except (OSError, ValueError) as error:
            raise UserError(str(error)) from error
    cfg = read_config(path)
    override(cfg, args.cfg_options)
    if not cfg.get('model'):
        raise UserError(f'{args.config} describes no model')
    ours = describe_config(cfg)
    if paper is None:
        table = PrettyTable(['', Path(path).name])
        for key, value in ours.items():
            table.add_row([key, value])
        _print(table)
        return 0
    return _compare(Path(path).name, ours, paper)


def _compare(name: str, ours: dict[str, str], paper: PublishedProtocol) -> int:
    """Print a config beside a paper; return 1 if they differ."""
    if paper.has_one_view:
        ours = {**ours, 'views': ONE_VIEW, 'fused': ONE_VIEW}
    theirs = describe_paper(paper)
    differs = differences(ours, theirs)
    table = PrettyTable(['', name, paper.method, 'compared'])
    for key, value in ours.items():
        mark = 'differs' if key in differs else ''
        table.add_row([key, value, theirs[key], mark])
    _print(table)
    print(f'Source: {paper.source}.')
    if paper.note:
        print(f'Note: {paper.note}.')
    views = 'single view' if paper.has_one_view else 'multi-scale + flip'
    crf = '' if paper.crf == '' else ' + CRF'
    print(f'Compare its figures with the number "{views}{crf}".')
    if differs:
        print(f'Differs from {paper.method}: {", ".join(differs)}.')
    else:
        print(f'No known difference from {paper.method}.')
    return int(bool(differs))


def _print(table: PrettyTable) -> None:
    table.align = 'l'
    print(table.get_string())
