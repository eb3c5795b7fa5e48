"""Every way to masks on toyland, side by side, in benchmarks/toyland.md.

Runs the tools that a data set of your own needs, a row each: seeds by every
dense path, what enrichment, affinity, PAR and CRF add, CLIP-ES, ExCEL, CAMs
of a classifier, CLIMS, and WeakCLIP from the row START. What is finished is
not run again (work_dirs/ladder keeps it). All scores are on val with image
labels, unless said; pixel truth picks nothing. Beside the table it draws
benchmarks/toyland.png, toyland_clims.png and toyland_groups.png.
"""

import argparse
import sys
from pathlib import Path

from option_rows import (
    relation_rows,
    segmenter_rows,
    tagged_rows,
    untagged_rows,
)
from pictures import draw_groups
from report import (
    draw_rows,
    extraction_quality,
    folder_quality,
    read_names,
    report,
    usual_background_share,
    usual_scenes,
)
from rows import (
    ALL_LOSSES,
    CRITICS,
    EXTRACTION,
    PAINTED_MAPS,
    PAINTED_MASKS,
    START,
    WORK,
    Row,
    seed_rows,
    trained_rows,
)

from mmseg_weakclip.models.clims.background_cache import BackgroundCache
from mmseg_weakclip.toyland.writer import IMAGES, LISTS

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from steps import (  # noqa: E402  (beside this folder)
    ROOT,
    describe_machine,
    latest_scores,
    measure,
    once,
)

DATA = ROOT / 'data/toyland'
CONFIGS = 'configs/toyland'


def train(row: Row, seed: int) -> tuple[Path, dict[str, float]]:
    """Checkpoint of a row's training, and what the training took."""
    folder = row.training_folder(seed)
    options = [option.format(seed=seed) for option in row.training_options]
    measured = once(
        folder,
        [
            'tools/train.py',
            f'{CONFIGS}/{row.training}',
            '--resume',
            *('--work-dir', str(folder), '--cfg-options'),
            f'randomness.seed={seed}',
            *options,
        ],
    )
    return (ROOT / folder / 'last_checkpoint').read_text().strip(), measured


def run(row: Row, split: str = 'val', seed: int = 0) -> dict[str, float]:
    """Run a row; scores, seconds and memory of its test and training."""
    folder = row.folder(split, seed)
    command = ['tools/test.py', f'{CONFIGS}/{row.config}']
    options = [f'test_dataloader.dataset.ann_file={LISTS}/{split}.txt']
    total = dict(seconds=0.0, gib=0.0)
    if row.seeds:
        # Masks without a training are the same for every seed.
        run(row.seeds, 'train', seed if row.seeds.training else 0)
    if row.training:
        checkpoint, total = train(row, seed)
        command.append(str(checkpoint))
    if not row.without_labels:
        command += ['--tta', '--out', str(folder / 'out')]
        options.append('test_evaluator.score_stride=1')
    command += ['--work-dir', str(folder), '--cfg-options', *row.options]
    measured = once(folder, [*command, *options])
    scores = latest_scores(folder)
    result = dict(
        raw=scores.get('pseudo_mask/raw_mIoU', scores.get('mIoU')),
        refined=scores.get('pseudo_mask/refined_mIoU'),
        minutes=(total['seconds'] + measured['seconds']) / 60,
        gib=max(total['gib'], measured['gib']),
    )
    if not row.without_labels:
        out = ROOT / folder / 'out'
        result.update(folder_quality(DATA, out, split))
        result['usual'] = usual_background_share(DATA, out, split)
    return result


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--seeds',
        type=int,
        default=2,
        help='trainings of each row (default: %(default)s)',
    )
    parser.add_argument(
        '--out', type=Path, default=ROOT / 'benchmarks/toyland.md'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    measure(['tools/make_toyland.py', '--out', 'data/toyland'])
    config = f'{CONFIGS}/segclip.py'
    once(WORK / 'superpixels', ['tools/make_superpixels.py', config])
    regions = WORK / 'regions'
    once(
        regions,
        ['-m', 'mmseg_weakclip', 'regions', '--images', str(DATA / IMAGES),
         '--out', str(ROOT / regions / 'out'), '--generator', 'felzenszwalb',
         '--scale', '100'],
    )  # fmt: skip
    rows = seed_rows()
    for make in (tagged_rows, untagged_rows):
        rows.extend(make(ROOT / regions / 'out'))
    for row in rows:
        row.results.append(run(row))
    folders = {row.name: ROOT / row.folder() / 'out' for row in rows}
    draw_rows(
        DATA,
        {name: folders[name] for name in PAINTED_MAPS},
        {name: folders[name] for name in PAINTED_MASKS},
        read_names(DATA, 'val')[:8],
    ).save(args.out.with_suffix('.png'), optimize=True)
    start = next(row for row in rows if row.name == START)
    run(start, 'train')
    backgrounds = ['tools/extract_backgrounds.py', EXTRACTION]
    once(WORK / 'backgrounds', backgrounds)
    trained = [*trained_rows(ROOT), *relation_rows(), *segmenter_rows(ROOT)]
    for row in trained:
        rows.append(row)
        for seed in range(args.seeds):
            row.results.append(run(row, seed=seed))
    lines = {
        (row.name, 'no' if row.without_labels else 'yes'): row.results
        for row in rows
    }
    folders = {row.name: ROOT / row.folder() / 'out' for row in rows}
    critics = {title: folders[name] for name, title in CRITICS.items()}
    draw_rows(DATA, critics, critics, usual_scenes(DATA, 'val', 8)).save(
        args.out.with_name(f'{args.out.stem}_clims.png'), optimize=True
    )
    draw_groups(
        ROOT / CONFIGS / 'segclip.py',
        train(next(row for row in rows if row.name == ALL_LOSSES), 0)[0],
        [
            DATA / IMAGES / f'{name}.jpg'
            for name in read_names(DATA, 'val')[:6]
        ],
    ).save(args.out.with_name(f'{args.out.stem}_groups.png'), optimize=True)
    cache = BackgroundCache.load(DATA / 'backgrounds.json')
    text = report(
        lines,
        describe_machine(),
        args.seeds,
        START,
        extraction_quality(DATA, cache, 'train'),
    )
    args.out.write_text(text)
    print(f'\n{text}\nwritten to {args.out}')


if __name__ == '__main__':
    main()
