"""The steps of benchmarks/photos: commands, each run once, and scores."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from photo_data import write_user_data
from photo_rows import CRF, VIEWS, MapRow, Maps, SegmenterRow
from steps import ROOT, latest_scores, once
from tag_threshold import choose_threshold

from mmseg_weakclip.apps.run_folder.store import load_images
from mmseg_weakclip.apps.wsss.scoring import score_masks
from mmseg_weakclip.common.files import write_atomically

WORK = Path('work_dirs/photos')
OURS = ['-m', 'mmseg_weakclip']
NAMES = ('background', 'cat', 'cow', 'dog', 'horse', 'person', 'sheep')
# Iterations of a trial, and its photos of each split.
FEW, PHOTOS = 4, 12


def total_cost(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Minutes of all steps, and GiB of the largest."""
    return dict(
        minutes=sum(step['seconds'] for step in steps) / 60,
        GiB=max(step['gib'] for step in steps),
    )


class Steps:
    """The steps of all rows.

    Args:
        source: Folder of VOC_animals.
        weights: ImageNet weights of EfficientNet-Lite0.
        length: Iterations of a segmenter.
        trial: Whether trainings and tests are cut short.
    """

    def __init__(
        self, source: Path, weights: Path, length: int, *, trial: bool
    ) -> None:
        self.work = WORK / ('trial' if trial else 'full')
        self.flags = write_user_data(
            source, ROOT / self.work / 'user', PHOTOS if trial else None
        )
        self.weights = str(weights)
        self.length = FEW if trial else length
        self.trial = trial

    def folder(self, name: str, seed: int) -> Path:
        """Where a step works."""
        plain = ''.join(c if c.isalnum() else '_' for c in name)
        return self.work / f'{plain}_seed{seed}'

    def run_folder(self, seed: int) -> Path:
        """Folder of the run of the one command."""
        return ROOT / self.work / f'run_seed{seed}'

    def run(self, seed: int) -> dict:
        """Run the one command: two rounds; its scores, and minutes by stage.

        A run that was stopped goes on.
        """
        folder = self.run_folder(seed)
        words = [
            *OURS, 'run', '--work-dir', str(folder), '--rounds', '2',
            '--method', 'cam', '--backbone-weights', self.weights,
            '--segmenter', 'lite0_fpn', '--segmenter-weights', self.weights,
            '--iterations', str(self.length), '--seed', str(seed), *self.flags,
        ]  # fmt: skip
        if self.trial:
            words += ['--method-iterations', str(FEW), '--batch-size', '4']
        if (folder / 'manifest.json').is_file():
            words.append('--resume')
        once(self.folder('run_of', seed), words)
        manifest = json.loads((folder / 'manifest.json').read_text())
        minutes = {
            stage['name']: stage['seconds'] / 60
            for stage in manifest['stages']
        }
        memory = [s['peak_memory_gib'] or 0 for s in manifest['stages']]
        scores = json.loads((folder / 'scores.json').read_text())['roles']
        return dict(minutes=minutes, gib=max(memory), scores=scores)

    def classifier(self, maps: Maps, seed: int) -> str:
        """Checkpoint of the classifier of class maps."""
        run = self.run_folder(seed)
        found = run.glob('cam/iter_*.pth')
        last = max(found, key=lambda path: int(path.stem[5:]))
        if not maps.training:
            return str(last)
        folder = self.folder(f'train {maps.name}', seed)
        config = self._write(run / 'configs/cam.py', folder, maps.training)
        once(
            folder,
            [*OURS, 'train', str(config), '--resume', '--work-dir',
             str(folder)],
        )  # fmt: skip
        return str(ROOT / folder / last.name)

    def _write(self, base: Path, folder: Path, settings: dict) -> Path:
        """Write a config of the run with other settings."""
        cfg = Config.fromfile(base)
        cfg.merge_from_dict(settings)
        path = ROOT / folder / base.name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, cfg.pretty_text.encode())
        return path

    def config(self, maps: Maps, seed: int) -> tuple[Path, Config]:
        """Config of the maps of val, in a file of its own."""
        base = self.run_folder(seed) / 'configs/seeds.py'
        cfg = Config.fromfile(base)
        folder = self.folder(f'maps {maps.name}', seed)
        cfg.merge_from_dict(maps.test)
        dataset = cfg.test_dataloader.dataset
        dataset.ann_file = 'val.txt'
        resizes = cfg.tta_pipeline[-1].transforms[0]
        for resize, side in zip(resizes, VIEWS[maps.views]):
            resize.scale = (side, side)
        cfg.test_evaluator.output_dir = str(ROOT / folder / 'out')
        path = ROOT / folder / 'maps.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, cfg.pretty_text.encode())
        return path, cfg

    def gains(self, maps: Maps, crf: str = '') -> dict[float, float]:
        """Measure thresholds of maps by held-out tags, once.

        Of their regions behind the CRF, if it is named.
        """
        note = ROOT / self.folder(f'gains {maps.name} {crf}', 0)
        note = note.with_suffix('.json')
        if not note.is_file():
            _, cfg = self.config(maps, 0)
            tags = Config.fromfile(self.run_folder(0) / 'configs/tags.py')
            note.parent.mkdir(parents=True, exist_ok=True)
            gains = choose_threshold(
                cfg, tags, self.classifier(maps, 0),
                4 if self.trial else None, crf,
            )  # fmt: skip
            write_atomically(note, json.dumps(gains).encode())
        found = json.loads(note.read_text())
        return {float(value): gain for value, gain in found.items()}

    def maps(self, row: MapRow, seed: int) -> dict[str, float]:
        """Make and refine class maps of val; their scores and minutes.

        Those of the run are there already.
        """
        config, cfg = self.config(row.maps, seed)
        source, steps = self.run_folder(seed) / 'seeds', []
        if row.maps != Maps():
            source = config.parent / 'out'
            made = once(
                self.folder(f'maps {row.maps.name}', seed),
                [*OURS, 'test', str(config), self.classifier(row.maps, seed),
                 '--tta', '--work-dir', str(config.parent / 'test')],
            )  # fmt: skip
            steps.append(made)
        threshold = cfg.model.decode_head.background.threshold
        folder = self.folder(f'row {row.name}', seed)
        flags = [*row.refine]
        if row.regions:
            flags += ['--regions', self.regions(row.regions)]
        refined = once(
            folder,
            [*OURS, 'refine', str(source),
             str(ROOT / folder / 'out'), '--config', str(config),
             '--threshold', str(threshold), *flags],
        )  # fmt: skip
        scores = self.score(ROOT / folder / 'out', seed)
        return dict(**scores, **total_cost([*steps, refined]))

    def regions(self, generator: str) -> str:
        """Folder of the regions of all photos."""
        folder = self.folder(f'regions {generator}', 0)
        images = self.flags[self.flags.index('--images') + 1]
        once(
            folder,
            [*OURS, 'regions', '--images', images, '--out',
             str(ROOT / folder / 'out'), '--generator', generator],
        )  # fmt: skip
        return str(ROOT / folder / 'out')

    def protocol(self, seed: int) -> dict[str, float]:
        """Test the run's last segmenter in four ways; mIoU of each."""
        run = self.run_folder(seed)
        folder = self.folder('protocol', seed)
        once(
            folder,
            [*OURS, 'test', str(run / 'configs/segmenter_2.py'),
             str(run / f'segmenter_2/iter_{self.length}.pth'), '--protocol',
             '--work-dir', str(folder)],
        )  # fmt: skip
        return latest_scores(folder)

    def masks(self, row: SegmenterRow, seed: int) -> Path:
        """Folder of a row's masks, of the run itself if nothing differs."""
        run, share = self.run_folder(seed), row.sure_share
        if row.ignore_flips:
            return self._without_flips(run, seed)
        if share == 1:
            return run / row.masks / 'masks'
        folder = self.folder(f'masks {share}', seed)
        config = run / 'configs/seeds.py'
        background = Config.fromfile(config).model.decode_head.background
        once(
            folder,
            [*OURS, 'refine', str(run / 'seeds'), str(ROOT / folder / 'out'),
             '--config', str(config), '--threshold',
             str(background.threshold), *CRF, '--sure-share', str(share)],
        )  # fmt: skip
        return ROOT / folder / 'out/masks'

    def _without_flips(self, run: Path, seed: int) -> Path:
        """Make the second round's masks of the training photos again."""
        folder = self.folder('masks_2 without flips', seed)
        config = self._write(
            run / 'configs/masks_2.py',
            folder,
            {
                'test_dataloader.dataset.ann_file': 'train.txt',
                'test_evaluator.flips': {},
                'test_evaluator.output_dir': str(ROOT / folder / 'out'),
            },
        )
        checkpoint = run / f'segmenter/iter_{self.length}.pth'
        once(
            folder,
            [*OURS, 'test', str(config), str(checkpoint), '--tta',
             '--work-dir', str(folder)],
        )  # fmt: skip
        return ROOT / folder / 'out/masks'

    def segmenter(self, row: SegmenterRow, seed: int) -> dict[str, float]:
        """Train a segmenter on masks of the run; its scores and minutes.

        A third as long as the run's own, which is enough to tell them apart.
        """
        folder = self.folder(f'segmenter {row.name}', seed)
        test = self.folder(f'test {row.name}', seed)
        run = self.run_folder(seed)
        length = max(1, self.length // 3)
        cfg = Config.fromfile(run / 'configs/segmenter.py')
        schedule = [dict(part) for part in cfg.param_scheduler]
        schedule[-1]['end'] = length
        masks = 'train_dataloader.dataset.data_prefix.seg_map_path'
        config = self._write(
            run / 'configs/segmenter.py',
            folder,
            {
                masks: str(self.masks(row, seed)),
                'param_scheduler': schedule,
                'train_cfg.max_iters': length,
                # No validation before the end.
                'train_cfg.val_interval': length + 1,
                'default_hooks.checkpoint.interval': length,
                **row.training,
                'test_evaluator.output_dir': str(ROOT / test / 'out/masks'),
            },
        )
        trained = once(
            folder,
            [*OURS, 'train', str(config), '--resume', '--work-dir',
             str(folder)],
        )  # fmt: skip
        checkpoint = ROOT / folder / f'iter_{length}.pth'
        tested = once(
            test,
            [*OURS, 'test', str(config), str(checkpoint), '--work-dir',
             str(test)],
        )  # fmt: skip
        scores = self.score(ROOT / test / 'out', seed)
        return dict(**scores, **total_cost([trained, tested]))

    def score(self, folder: Path, seed: int) -> dict[str, float]:
        """mIoU of masks of val, and the IoU of each class."""
        run = self.run_folder(seed)
        images = [i for i in load_images(run) if i.split == 'val']
        scores = score_masks(folder, images, run / 'data', NAMES)
        assert scores is not None
        return dict(val=scores['mIoU'], **scores['IoU'])
