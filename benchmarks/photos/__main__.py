"""Masks of photos without CLIP, row by row, in benchmarks/photos.md.

Needs the photos of VOC_animals (MMSEG_WEAKCLIP_DATA names the folder above
them) and the weights that tools/model_converters/efficientnet_lite0.py writes.
What is finished is not run again (work_dirs/photos keeps it).

`weakclip run --method cam --rounds 2` makes the first tables. The other rows
change one thing each; all have the threshold of the config. The last table is
what the tags of the held-out tenth of the training photos say of thresholds
and views (see tag_threshold.py). Masks score the rows, and choose nothing.

The tables go between the marks of benchmarks/photos.md; the text around them
is written by hand.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from photo_report import report  # noqa: E402  (beside this folder)
from photo_rows import CRF, map_rows, segmenter_rows  # noqa: E402
from photo_steps import Steps  # noqa: E402
from steps import ROOT, describe_machine, write_tables  # noqa: E402

# Iterations of a segmenter: eight passes over the photos.
LENGTH = 600


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = Path(os.environ.get('MMSEG_WEAKCLIP_DATA', ROOT / '../shared/data'))
    parser.add_argument(
        '--data', type=Path, default=(data / 'VOC_animals').resolve()
    )
    parser.add_argument(
        '--weights',
        type=Path,
        default=ROOT / 'data/pretrained/efficientnet_lite0_imagenet.pth',
    )
    parser.add_argument(
        '--seeds', type=int, default=2, help='trainings (default: 2)'
    )
    parser.add_argument(
        '--only-run',
        action='store_true',
        help='nothing but the one command, without the other rows',
    )
    parser.add_argument(
        '--trial',
        action='store_true',
        help='a few iterations and photos, to see that all steps run',
    )
    parser.add_argument(
        '--out', type=Path, default=ROOT / 'benchmarks/photos.md'
    )
    args = parser.parse_args()
    for path in (args.data, args.weights):
        if not path.exists():
            parser.error(f'{path} is not there; see --help')
    args.weights = args.weights.resolve()
    return args


def main() -> None:
    args = parse_args()
    steps = Steps(args.data, args.weights, LENGTH, trial=args.trial)
    maps, segmenters = map_rows(), segmenter_rows()
    runs = []
    for seed in range(args.seeds):
        runs.append(steps.run(seed))
        runs[-1]['protocol'] = steps.protocol(seed)
        if args.only_run:
            continue
        for row in maps:
            row.results.append(steps.maps(row, seed))
        for row in segmenters:
            row.results.append(steps.segmenter(row, seed))
    gains = {
        row.name: steps.gains(row.maps, 'voc12' if row.refine else '')
        for row in maps
        # Of one training, and one test.
        if row.refine in ((), CRF)
        and not (args.only_run or row.maps.training or row.maps.test)
    }
    text = report(
        runs, maps, segmenters, gains, describe_machine(), trial=args.trial
    )
    write_tables(args.out, text)
    print(f'\n{text}\nwritten to {args.out}')


if __name__ == '__main__':
    main()
