"""`weakclip compare`: the runs that it starts, its page, and its mistakes."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps.cli import main
from mmseg_weakclip.apps.compare import results as found
from mmseg_weakclip.apps.errors import StageFailed
from mmseg_weakclip.apps.wsss import cli as wsss
from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.scenes import make_scene


@pytest.fixture
def words(tmp_path, monkeypatch):
    """Arguments of a comparison of four scenes, of which one is painted."""
    monkeypatch.chdir(tmp_path)
    for folder in ('photos', 'masks', 'found'):
        (tmp_path / folder).mkdir()
    with (tmp_path / 'labels.csv').open('w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(['image', 'labels'])
        for index in range(4):
            scene = make_scene(0, index, 96)
            name = f'{index}.jpg'
            Image.fromarray(scene.image[:72]).save(tmp_path / 'photos' / name)
            mask = scene.mask[:72].astype(np.uint8)
            tags = [CLASSES[k - 1] for k in np.unique(mask) if k]
            rows.writerow([name, ';'.join(tags)])
            if index == 2:
                Image.fromarray(mask).save(tmp_path / 'masks/2.png')
                Image.fromarray(mask).save(tmp_path / 'found/2.png')
    (tmp_path / 'classes.txt').write_text('\n'.join(CLASSES))
    return [
        'compare', '--images', 'photos', '--labels', 'labels.csv',
        '--truth', 'masks', '--classes', 'classes.txt', '--work-dir', 'out',
        '--clip', 'toyclip', '--gpus', '0', '--limit', '2',
    ]  # fmt: skip


def test_each_method_runs_and_the_page_is_written(
    words, tmp_path, monkeypatch, capsys, make_result
):
    """The runs themselves are those of `weakclip run`, tested there."""
    calls = []

    def run_command(args):
        calls.append(args)
        for name in ('images', 'labels', 'truth', 'classes'):
            assert Path(getattr(args, name)).exists(), name
        with (tmp_path / 'out/labels.csv').open() as file:
            assert len(list(csv.DictReader(file))) == 2

    def read_results(contenders):
        shown = sorted((tmp_path / 'out/photos').iterdir())
        results = []
        for number, one in enumerate(contenders):
            one.folder.mkdir()
            mask = np.full((30, 40), number, np.uint8)
            masks = {path.stem: mask for path in shown}
            results.append(make_result(one.folder, one.title, masks))
        for result in results:
            for source in list(result.images):
                image = result.images.pop(source)
                result.images[Path(source).name] = image
        return results

    monkeypatch.setattr(wsss, 'run_command', run_command)
    monkeypatch.setattr(found, 'read_results', read_results)
    words += ['--methods', 'excel,cam,seeds:found']
    assert main(words) == 0, capsys.readouterr().err
    assert [args.method for args in calls] == ['excel', 'cam', 'seeds']
    assert calls[1].images == str(tmp_path / 'photos')
    assert calls[2].seeds == str(tmp_path / 'found')
    page = (tmp_path / 'out/compare.html').read_text()
    assert 'The same 2 of your 4 photos' in page
    # The painted one is among them.
    assert '2.jpg' in page
    printed = capsys.readouterr().out
    assert '--resume' in printed
    assert '--segmenter deeplabv3plus_r50' in printed


def test_failure_of_a_run_names_its_method(words, monkeypatch, capsys):
    def run_command(args):
        raise StageFailed('it stopped; see the log')

    monkeypatch.setattr(wsss, 'run_command', run_command)
    assert main([*words, '--methods', 'excel,cam']) == 1
    assert 'error: excel: it stopped' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('more', 'said'),
    [
        (['--methods', 'excel'], 'is one method'),
        (['--methods', 'excel,exel'], 'did you mean excel?'),
        (['--methods', 'excel,cam', '--until', 'seeds'], '--until'),
    ],
)
def test_mistakes_of_the_call(words, capsys, more, said):
    assert main([*words, *more]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert said in error
    assert error.count('\n') == 1


def test_no_tags_and_no_weights(words, tmp_path, capsys, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError('no route')

    words += ['--methods', 'clipes,excel']
    monkeypatch.setattr('open_clip.download_pretrained', fail)
    place = words.index('toyclip')
    assert main([*words[: place - 1], *words[place + 1 :]]) == 2
    error = capsys.readouterr().err
    assert '--clip-weights FILE' in error
    assert error.count('\n') == 1
    assert not (tmp_path / 'out').exists()
    (tmp_path / 'labels.csv').write_text('image,labels\n0.jpg,\n')
    assert main(words) == 2
    assert capsys.readouterr().err.count('\n') == 1
