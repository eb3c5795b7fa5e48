r"""Find the regions of photos, once, for masks that regions vote on.

    weakclip regions --images photos --out regions
    weakclip regions --images photos --out regions --generator sam \
        --weights sam_vit_h_4b8939.pth --device cuda

Superpixels (slic, felzenszwalb) need no weights. A JSON file is written for
each photo; photos that have one, and hidden files, are passed over. A mask
writer takes them by ``regions=dict(folder='regions')``. For the masks of a
run, make them of its own copies: ``--images OUT/data/images``.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from pathlib import Path

from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.images import read_color_image
from mmseg_weakclip.common.region_files import (
    SETTINGS,
    region_path,
    write_regions,
)
from mmseg_weakclip.common.workers import progress_bar, worker_context
from mmseg_weakclip.datasets.labels.image_labels import IMAGE_SUFFIXES
from mmseg_weakclip.pseudo_masks.region_generators import (
    GENERATORS,
    Generator,
    felzenszwalb_regions,
    hf_generator,
    reduce_first,
    require_scikit_image,
    sam_generator,
    slic_regions,
)

SUPERPIXELS = ('slic', 'felzenszwalb')
# Options of each generator, and their defaults; None must be given.
OPTIONS: dict[str, dict[str, str | float | None]] = {
    'slic': dict(count=150),
    'felzenszwalb': dict(scale=200.0),
    'sam': dict(model='vit_h', weights=None),
    'hf': dict(model=None),
}
OWN = {name for options in OPTIONS.values() for name in options}
# Named in messages; more are counted.
NAMED = 5


def _parse_args(
    argv: Sequence[str] | None = None, prog: str | None = None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--images',
        type=Path,
        required=True,
        metavar='DIR',
        help='folder of photos, with or without subfolders',
    )
    parser.add_argument('--out', type=Path, required=True, metavar='DIR')
    parser.add_argument(
        '--generator', choices=GENERATORS, default='slic', help='default: slic'
    )
    parser.add_argument(
        '--count', type=int, help='superpixels of slic, about (default: 150)'
    )
    parser.add_argument(
        '--scale',
        type=float,
        help='preference of felzenszwalb for large superpixels (default: 200)',
    )
    parser.add_argument(
        '--model',
        help='of sam: vit_h (default), vit_l, vit_b; of hf: a repository of '
        'Hugging Face or a folder',
    )
    parser.add_argument(
        '--weights',
        help="file of SAM's weights, such as sam_vit_h_4b8939.pth (2.4 GB) of "
        'https://github.com/facebookresearch/segment-anything',
    )
    parser.add_argument('--device', default='cpu', help='of sam and hf')
    parser.add_argument(
        '--max-side',
        type=int,
        help='find regions in a copy whose longest side is this, in pixels',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=1,
        help='processes of superpixels (default: %(default)s)',
    )
    return parser.parse_args(argv)


def settings_of(args: argparse.Namespace) -> dict[str, str | float | None]:
    """Return what the regions depend on.

    Raises:
        SystemExit: An option is not one of the generator, is missing, or is
            not positive.
    """
    own = OPTIONS[args.generator]
    for name in ('count', 'scale', 'model', 'weights', 'max_side', 'workers'):
        value, flag = getattr(args, name), f'--{name.replace("_", "-")}'
        if value is None:
            continue
        if name in OWN and name not in own:
            raise SystemExit(
                f'{flag} {value} is no option of --generator {args.generator}'
            )
        if not isinstance(value, str) and not value > 0:
            raise SystemExit(f'{flag} {value} must be positive')
    chosen = {}
    for name, default in own.items():
        chosen[name] = getattr(args, name) or default
        if chosen[name] is None:
            raise SystemExit(
                f'--generator {args.generator} needs --{name}; --help says '
                'which'
            )
    return dict(generator=args.generator, max_side=args.max_side, **chosen)


@cache
def make_generator(settings: str, device: str) -> Generator:
    """Return the generator of settings, as JSON; once in a process."""
    values = json.loads(settings)
    name, longest = values.pop('generator'), values.pop('max_side')
    if name in SUPERPIXELS:
        require_scikit_image()
    if name == 'slic':
        generator: Generator = partial(slic_regions, **values)
    elif name == 'felzenszwalb':
        generator = partial(felzenszwalb_regions, **values)
    elif name == 'sam':
        generator = sam_generator(device=device, **values)
    else:
        generator = hf_generator(device=device, **values)
    return reduce_first(generator, longest)


def find_one(image: Path, path: Path, settings: str, device: str) -> str:
    """Write the regions of an image; what was wrong with it, or ''."""
    try:
        pixels = read_color_image(str(image))[..., ::-1].copy()
    except (OSError, ValueError) as error:
        return str(error)
    try:
        regions = make_generator(settings, device)(pixels)
        write_regions(path, regions, image, settings)
    except MemoryError:
        height, width = pixels.shape[:2]
        return (
            f'{image}: its {width} x {height} pixels take more memory than '
            'there is; choose --max-side, or fewer --workers'
        )
    return ''


def open_folder(folder: Path, settings: dict) -> None:
    """Begin a folder of regions, or go on with the same settings.

    Raises:
        SystemExit: It has regions of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note, text = folder / SETTINGS, json.dumps(settings)
    if note.is_file() and note.read_text() != text:
        raise SystemExit(
            f'{folder} has regions of {note.read_text()}; now it is {text}. '
            'Choose another --out, or remove it'
        )
    write_atomically(note, text.encode())


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see ``--help``."""
    args = _parse_args(argv, prog)
    if not args.images.is_dir():
        raise SystemExit(f'--images {args.images} is not a folder')
    settings = settings_of(args)
    images = sorted(
        path
        for path in args.images.rglob('*')
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(
            part.startswith('.')
            for part in path.relative_to(args.images).parts
        )
    )
    if not images:
        raise SystemExit(f'{args.images} holds no images')
    stems = [path.stem for path in images]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise SystemExit(
            f'{args.images} has several images of one name: '
            f'{", ".join(twice[:NAMED])}; regions are found by it'
        )
    words = json.dumps(settings)
    # Before the folder is begun: packages or weights may be missing.
    make_generator(words, args.device)
    open_folder(args.out, settings)
    todo = [
        (path, region_path(args.out, path.stem))
        for path in images
        if not region_path(args.out, path.stem).is_file()
    ]
    problems = list(_run(todo, words, args))
    done = len(todo) - len(problems)
    print(
        f'{done} of {len(todo)} images done, {len(images) - len(todo)} were '
        f'there; {len(problems)} failed'
    )
    for problem in problems[:NAMED]:
        print(f'  {problem}')
    return 1 if problems else 0


def _run(
    todo: list[tuple[Path, Path]], words: str, args: argparse.Namespace
) -> Iterator[str]:
    """Yield the problems of images, with a bar."""
    find = partial(find_one, settings=words, device=args.device)
    if args.workers <= 1 or args.generator in ('sam', 'hf'):
        results = (find(*pair) for pair in todo)
        for problem in progress_bar('regions', len(todo), results):
            if problem:
                yield problem
        return
    context = worker_context('mmseg_weakclip.apps.commands.make_regions')
    with ProcessPoolExecutor(args.workers, context) as pool:
        waiting = [pool.submit(find, *pair) for pair in todo]
        finished = as_completed(waiting)
        for future in progress_bar('regions', len(todo), finished):
            if future.result():
                yield future.result()
