"""Execution of a run's stages, in order, each once."""

import re
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from mmseg_weakclip.apps.errors import StageFailed, UserError
from mmseg_weakclip.apps.run_folder.classifier import describe_classifier
from mmseg_weakclip.apps.run_folder.schema import (
    CLASSES,
    INDEX,
    LABELS,
    SCORES,
    TAGS,
    StageRecord,
)
from mmseg_weakclip.common.files import (
    digest_file,
    digest_masks,
    digest_scores,
    digest_value,
)

from .config_files import (
    WEAKCLIP,
    config_path,
    digest_config,
    outputs_exist,
    stage_command,
    write_config,
)
from .inputs.given import Sources
from .inputs.prepare import prepare_data
from .inputs.understood import describe_prepared
from .launch.execute import Launcher, capture, run_tool
from .launch.machines import check_training, write_script
from .manifest import Manifest
from .outside.compare import compare_sources, describe_comparison
from .outside.import_masks import import_masks
from .outside.join import describe_join, join_sources
from .outside.tally import describe_import, write_findings
from .run import Run
from .scoring import (
    RESULTS,
    collect_results,
    describe_scores,
    write_scores,
)
from .second_round import MASKS, describe_lost
from .stages import Stage, checkpoint_name

# Names of unfinished files that a killed process leaves.
LEFTOVER = re.compile(r'^\..+\.(?:[a-z0-9_]{8}|part)$')
STEP_OUTPUTS = {
    'score': SCORES,
    'results': RESULTS,
    'report': 'report.html',
}

Report = Callable[[str], None]


class Pipeline:
    """Execution of the stages that are not done yet.

    Args:
        run: Run, with the images of an earlier start, if any.
        sources: Images, labels and masks of the user.
        stages: All stages, in order.
        manifest: Records of the stages.
        launcher: Launcher that starts the commands of the stages.
        report: Function that shows the user a message.
    """

    def __init__(
        self,
        run: Run,
        sources: Sources,
        stages: list[Stage],
        manifest: Manifest,
        launcher: Launcher,
        report: Report = print,
    ) -> None:
        self.run = run
        self.sources = sources
        self.stages = {stage.name: stage for stage in stages}
        self.manifest = manifest
        self.launcher = launcher
        self.report = report
        # Of stages that are over: many thousand files are looked at once.
        self._outputs: dict[str, str] = {}

    def run_stages(self, until: str | None = None) -> None:
        """Run all stages, or those up to one.

        Raises:
            UserError: The user has to correct something.
            StageFailed: A stage ended with an error.
            KeyboardInterrupt: The user stopped the run.
        """
        for number, stage in enumerate(self.stages.values(), 1):
            label = f'[{number}/{len(self.stages)}] {stage.title}'
            self._do(stage, label)
            if stage.kind == 'data':
                self._write_configs()
            if stage.name == until:
                return
            if stage.kind == 'data':
                # Before the first long stage, not in its middle.
                self.check_weights(until)

    def _write_configs(self) -> None:
        for stage in self.stages.values():
            if stage.config is None:
                continue
            record = self.manifest.stages[stage.name]
            if write_config(self.run, stage, record):
                self.report(f'{record.config} was edited by hand and is kept')
        write_script(self.run, list(self.stages.values()))
        self.manifest.save()

    def _do(self, stage: Stage, label: str) -> None:
        record = self.manifest.stages[stage.name]
        inputs = self.inputs(stage)
        if self._is_done(stage, record, inputs):
            self.report(f'{label}: done before')
            return
        if record.inputs and record.inputs != inputs:
            changed = sorted(
                key
                for key in inputs.keys() | record.inputs.keys()
                if inputs.get(key) != record.inputs.get(key)
            )
            self.report(
                f'{label}: starts again, changed: {", ".join(changed)}'
            )
            self._clear(stage)
        self._sweep(stage)
        self.manifest.begin(record, inputs)
        start = time.monotonic()
        state = 'failed'
        output = None
        try:
            self._outputs.pop(stage.name, None)
            self._work(stage, record, label)
            output = self._output_of(stage.name)
            state = 'finished'
        except KeyboardInterrupt:
            state = 'waiting'
            raise
        finally:
            self.manifest.end(record, state, start, output)
        self.report(f'{label}: {record.seconds:.0f} s')

    def _is_done(
        self, stage: Stage, record: StageRecord, inputs: dict[str, str]
    ) -> bool:
        return (
            record.state == 'finished'
            and record.inputs == inputs
            and outputs_exist(self.run, stage)
            and self._output_of(stage.name) != 'missing'
        )

    def inputs(self, stage: Stage) -> dict[str, str]:
        """Return a digest of each input of a stage, by name."""
        if stage.kind == 'data':
            return self._data_inputs()
        found = {name: self._output_of(name) for name in stage.reads}
        if stage.kind == 'import':
            found.update(self._outside_inputs())
        if stage.config is not None:
            path = config_path(self.run, stage)
            found['config'] = digest_config(path, self.run.folder, stage)
        if stage.kind == 'train':
            found['precision'] = 'half' if self.run.options.amp else 'full'
        elif stage.kind in ('test', 'tags') and self.run.options.amp:
            # Not 'full': runs of versions without the choice go on.
            found['precision'] = 'half'
        return found

    def _data_inputs(self) -> dict[str, str]:
        options = self.run.options
        folder = Path(options.images)
        images = {
            path: _size_and_time(folder / path) for path in self.sources.ids
        }
        truth = {
            path: digest_file(mask)
            for path, mask in self.sources.truth.items()
        }
        return dict(
            images=digest_value(images),
            labels=digest_value(self.sources.labelling.labels),
            classes=digest_value(repr(self.sources.classes)),
            split=digest_value(sorted(self.sources.val)),
            truth=digest_value(truth),
            options=digest_value([options.max_side, options.skip_damaged]),
        )

    def _outside_inputs(self) -> dict[str, str]:
        options, masks = self.run.options, self.sources.outside
        if masks is None:
            raise ValueError('a run without --seeds has no masks to read')
        reading = [masks.title, options.seed_rest, options.seed_threshold]
        return dict(
            masks=masks.digest(),
            names=digest_value(masks.names),
            reading=digest_value(reading),
        )

    def _output_of(self, name: str) -> str:
        """Return the digest of a stage's output, computed once."""
        if name not in self._outputs:
            self._outputs[name] = self.output(self.stages[name])
        return self._outputs[name]

    def output(self, stage: Stage) -> str:
        """Return a digest of a stage's output; 'missing' if there is none."""
        folder = self.run.folder / stage.folder
        if stage.kind == 'data':
            names = (INDEX, CLASSES, LABELS)
            files = [self.run.folder / name for name in names]
            return digest_value([digest_file(path) for path in files])
        if stage.kind == 'train':
            return digest_file(
                self.run.folder / checkpoint_name(self.run, stage)
            )
        if stage.kind == 'tags':
            return digest_file(self.run.folder / TAGS)
        if stage.kind in ('test', 'refine', 'import', 'join'):
            return digest_value([digest_masks(folder), digest_scores(folder)])
        path = self.run.folder / STEP_OUTPUTS[stage.name]
        if path.is_dir() or not self.run.has_truth and stage.name == 'score':
            return 'there'
        return digest_file(path)

    def _clear(self, stage: Stage) -> None:
        """Remove what a stage wrote for other inputs."""
        if stage.kind == 'data':
            return  # files are compared one by one
        if stage.folder:
            shutil.rmtree(self.run.folder / stage.folder, ignore_errors=True)

    def _sweep(self, stage: Stage) -> None:
        """Remove unfinished files of killed processes."""
        folder = self.run.folder / stage.folder
        paths = folder.rglob('.*') if stage.folder else folder.glob('.*')
        for path in paths:
            if LEFTOVER.match(path.name):
                path.unlink()

    def _work(self, stage: Stage, record: StageRecord, label: str) -> None:
        run = self.run
        if stage.kind == 'data':
            prepared = prepare_data(
                run.options, self.sources, run.folder, run.workers
            )
            self.run = run.with_images(prepared.images)
            self._tell(describe_prepared(self.sources, prepared))
        elif stage.kind == 'import' and self.sources.outside is not None:
            summary = import_masks(
                run,
                self.sources.outside,
                run.folder / stage.folder,
                record.inputs,
            )
            self._tell(describe_import(summary))
        elif stage.kind == 'join':
            joined = run.folder / stage.folder
            self._tell(describe_join(join_sources(run, joined, record.inputs)))
        elif stage.kind == 'score':
            lines = describe_scores(write_scores(run))
            if run.options.joins:
                lines += describe_comparison(compare_sources(run))
            self._tell(lines)
        elif stage.kind == 'results':
            collect_results(run)
            if run.options.seeds is not None:
                write_findings(run.folder)
        elif stage.kind == 'train' and outputs_exist(run, stage):
            sources = [self.stages[name] for name in stage.reads]
            check_training(
                run, stage, [part for part in sources if part.kind != 'data']
            )
            self.report(f'{label}: trained already')
        else:
            record.command = stage_command(run, stage, self.stages)
            self.manifest.save()
            usage = run_tool(
                self.launcher,
                record.command,
                run.folder / 'logs' / f'{stage.name}.log',
                label,
            )
            record.peak_memory_gib = usage.peak_memory_gib
            record.peak_gpu_gib = usage.peak_gpu_gib
            if not outputs_exist(run, stage):
                raise StageFailed(f'{label} wrote no output')
            if stage.kind == 'tags':
                self._tell(describe_classifier(run.folder))
            elif stage.name == MASKS:
                self._tell(describe_lost(run))

    def _tell(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.report(f'  {line}')

    def check_weights(self, until: str | None = None) -> None:
        """Check the initial weights of all stages that are not done yet.

        Args:
            until: Stage after which the run stops; None for the last.

        Raises:
            UserError: Some weights cannot be loaded.
        """
        names = list(self.stages)
        last = names.index(until) if until else len(names) - 1
        # Read the files, since the user may have edited them.
        configs = [
            str(config_path(self.run, stage))
            for stage in list(self.stages.values())[: last + 1]
            if stage.config is not None and not self._is_trusted(stage)
        ]
        if not configs:
            return
        self.report('  checking the weights that the stages start from')
        code, line = capture(self.launcher, [*WEAKCLIP, 'weights', *configs])
        if code:
            raise UserError(line.removeprefix('error: '))

    def _is_trusted(self, stage: Stage) -> bool:
        """Return whether a stage has finished with its present config."""
        record = self.manifest.stages[stage.name]
        path = config_path(self.run, stage)
        return record.state == 'finished' and record.inputs.get(
            'config'
        ) == digest_config(path, self.run.folder, stage)


def _size_and_time(path: Path) -> list[int]:
    """Return size and time of a file, or of a link that leads nowhere."""
    try:
        found = path.stat()
    except OSError:
        found = path.lstat()
    return [found.st_size, found.st_mtime_ns]
