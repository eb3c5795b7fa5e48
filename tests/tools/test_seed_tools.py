"""Seeds of toyland: made once, then scored and refined from their files."""

import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.apps import cli
from mmseg_weakclip.apps.commands.make_regions import main as make_regions
from mmseg_weakclip.common.region_files import read_regions

VAL = 'ImageSets/Segmentation/val.txt'


@pytest.fixture(scope='module')
def seeds(run_tool, tmp_path_factory):
    """A folder of seeds with their class maps kept."""
    folder = tmp_path_factory.mktemp('seeds')
    run_tool(
        'test',
        'seeds.py',
        '--out',
        folder / 'out',
        '--work-dir',
        folder / 'work',
        options=('test_evaluator.score_stride=1', 'test_evaluator.workers=0'),
    )
    return folder / 'out'


@pytest.fixture
def run(repo, world, monkeypatch, run_here):
    """Run a tool in the world, as from the command line."""

    def run(name, *arguments):
        tool = str(repo / f'tools/{name}.py')
        monkeypatch.chdir(world)
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        run_here(tool)

    return run


@pytest.fixture
def config(repo):
    return repo / 'configs/toyland/seeds.py'


def read(folder):
    return {
        path.stem: np.asarray(Image.open(path))
        for path in (folder / 'masks').glob('*.png')
    }


@pytest.fixture
def regions(world, tmp_path):
    """Superpixels of the scenes, as ``weakclip regions`` makes them."""
    folder = tmp_path / 'regions'
    images = world / 'data/toyland/JPEGImages'
    words = ('--images', images, '--out', folder, '--count', 30)
    assert not make_regions(list(map(str, words)))
    return folder


def test_regions_vote(run, seeds, config, tmp_path, regions):
    own = ('--config', config, '--threshold', 0.5, '--workers', 1)
    run('refine_seeds', seeds, tmp_path / 'plain', *own)
    run('refine_seeds', seeds, tmp_path / 'out', *own, '--regions', regions)
    plain, voted = read(tmp_path / 'plain'), read(tmp_path / 'out')
    assert plain.keys() == voted.keys()
    assert any((plain[name] != voted[name]).any() for name in plain)
    for name, mask in voted.items():
        for region in read_regions(regions / f'{name}.json').masks:
            assert len(np.unique(mask[region])) == 1


def test_mistakes_with_regions(
    world, seeds, config, tmp_path, regions, capsys, monkeypatch
):
    monkeypatch.chdir(world)
    words = [
        *('refine', seeds, tmp_path / 'out', '--config', config),
        *('--threshold', 0.5, '--workers', 1),
    ]

    def fails(*more):
        assert cli.main(list(map(str, [*words, *more]))) == 2
        return capsys.readouterr().err

    assert '--recipe vote needs --regions' in fails('--recipe', 'vote')
    said = fails('--regions', tmp_path / 'gone')
    assert said.startswith('error: regions: the folder')
    # Nothing was begun with what was wrong.
    assert not (tmp_path / 'out').exists()
    for path in regions.glob('*.json'):
        if path.stem != 'settings':
            path.unlink()
    said = fails('--regions', regions)
    assert said.splitlines()[-1].startswith('error: ')
    assert 'make all with `weakclip regions`' in said
    assert 'Traceback' not in said


def test_masks_and_maps_are_scored(run, seeds, config, capsys):
    run('eval_seeds', seeds, config, '--ann-file', VAL)
    text = capsys.readouterr().out
    assert 'ToylandDataset' in text
    assert VAL in text
    assert '5 of 5 images scored, 0 without a mask, 0 without truth' in text
    masks = float(re.search(r'as they are: ([\d.]+)', text)[1])
    fixed = float(re.search(r'threshold 0.5: ([\d.]+)', text)[1])
    best = re.search(r'picked with pixel truth, ([\d.]+): ([\d.]+)', text)
    # The masks were made at that threshold; the maps are rounded.
    assert abs(masks - fixed) < 1
    assert float(best[2]) >= fixed > 5
    shares = re.search(
        r'class maps: ([\d.]+) % have the wrong sign; they cover ([\d.]+) %'
        r' of their class, and ([\d.]+) %',
        text,
    )
    assert all(0 <= float(share) <= 100 for share in shares.groups())


def test_another_threshold(run, seeds, config, capsys):
    run('eval_seeds', seeds, config, '--threshold', '0.33')
    text = capsys.readouterr().out
    assert 'all images: 13 of 13 images scored' in text
    assert 'fixed threshold 0.33:' in text


def test_missing_masks_are_counted(run, seeds, config, tmp_path, capsys):
    (tmp_path / 'masks').mkdir()
    name = 'val_00002.png'
    (tmp_path / 'masks' / name).write_bytes(
        (seeds / 'masks' / name).read_bytes()
    )
    run('eval_seeds', tmp_path, config, '--ann-file', VAL)
    text = capsys.readouterr().out
    assert '1 of 5 images scored, 4 without a mask (the first: ' in text
    assert 'class maps' not in text


def test_nothing_to_score(run, config, tmp_path):
    with pytest.raises(SystemExit, match='nothing to score: of 13 .* 13 have'):
        run('eval_seeds', tmp_path, config)


def test_refined_as_by_the_writer(run, seeds, config, tmp_path, run_tool):
    """Without refinement the masks are those that the writer made."""
    out = tmp_path / 'again'
    run(
        'refine_seeds',
        seeds,
        out,
        '--config',
        config,
        '--threshold',
        '0.5',
        '--workers',
        '1',
    )
    before, after = read(seeds), read(out)
    assert before.keys() == after.keys()
    same = [np.mean(before[name] == after[name]) for name in before]
    assert np.mean(same) > 0.995
    # And with the surer half of the pixels alone.
    half = tmp_path / 'half'
    options = '--config', config, '--threshold', '0.5', '--workers', '1'
    run('refine_seeds', seeds, half, *options, '--sure-share', '.5')
    for name, mask in read(half).items():
        kept = mask != 255
        assert np.array_equal(mask[kept], after[name][kept])
        assert 0.5 <= kept.mean() < 1


def test_par_and_crf_go_on_where_they_were_stopped(
    run, seeds, config, tmp_path, capsys
):
    out = tmp_path / 'refined'
    options = ('--config', config, '--power', '1', '--workers', '1')
    run('refine_seeds', seeds, out, *options, '--par')
    first = read(out)
    assert len(first) == 13
    (out / 'masks/val_00001.png').unlink()
    stamp = (out / 'masks/val_00000.png').stat().st_mtime_ns
    run('refine_seeds', seeds, out, *options, '--par')
    assert (out / 'masks/val_00000.png').stat().st_mtime_ns == stamp
    assert np.array_equal(read(out)['val_00001'], first['val_00001'])
    with pytest.raises(ValueError, match='other settings .*crf'):
        run('refine_seeds', seeds, out, *options, '--par', '--crf', 'clipes')
    run('refine_seeds', seeds, tmp_path / 'crf', *options, '--crf', 'clipes')
    assert len(read(tmp_path / 'crf')) == 13


@pytest.mark.parametrize(
    ('refine', 'said'),
    [
        (dict(background=dict(power=1.0), region={}), 'has region; known are'),
        (dict(background=dict(power=1.0), keep_lost='m'), 'has keep_lost'),
        (dict(background=dict(threshold=2.5)), 'threshold=2.5 must be in'),
        (dict(crf='voc12'), 'give either threshold or power'),
        (dict(background=dict(power=1.0), flips={}), 'set crf as well'),
    ],
)
def test_wrong_settings_in_a_config(
    run, seeds, config, tmp_path, refine, said
):
    path = tmp_path / 'refine.py'
    path.write_text(f'_base_ = {str(config)!r}\nrefine = {refine!r}\n')
    with pytest.raises((SystemExit, ValueError), match=said):
        run('refine_seeds', seeds, tmp_path / 'out', '--config', path)


def test_no_maps_to_refine(run, seeds, config, tmp_path):
    bare = tmp_path / 'bare'
    bare.mkdir()
    options = ('--config', config, '--power', '1')
    with pytest.raises(
        SystemExit, match='is not a folder of PseudoMaskWriter'
    ):
        run('refine_seeds', bare, tmp_path / 'out', *options)
    (bare / 'settings.json').write_text('{}')
    with pytest.raises(SystemExit, match='no class maps .* score_stride'):
        run('refine_seeds', bare, tmp_path / 'out', *options)


def test_shares_are_the_whole(run, seeds, config, tmp_path, capsys):
    options = ('--config', config, '--power', '1', '--workers', '1', '--par')
    run('refine_seeds', seeds, tmp_path / 'one', *options)
    two = tmp_path / 'two'
    for share in '1/2', '0/2':
        run('refine_seeds', seeds, two, *options, '--shard', share)
    records = [
        [json.loads(line)['id'] for line in path.read_text().splitlines()]
        for path in sorted(two.glob('records_*.jsonl'))
    ]
    names = sorted(read(tmp_path / 'one'))
    assert [sorted(part) for part in records] == [names[::2], names[1::2]]
    whole = read(tmp_path / 'one')
    for name, mask in read(two).items():
        assert np.array_equal(mask, whole[name])
    # With other shares than before, nothing is left to do.
    capsys.readouterr()
    run('refine_seeds', seeds, two, *options, '--shard', '8/9')
    assert f'{len(names)} masks in' in capsys.readouterr().out
    assert len(list(two.glob('records_*.jsonl'))) == 2
    for share, said in ('2/2', '0/2 to 1/2'), ('x', 'is not such as'), (
        '0/0', 'no shares',
    ):  # fmt: skip
        with pytest.raises(SystemExit):
            run('refine_seeds', seeds, two, *options, '--shard', share)
        assert said in capsys.readouterr().err
