import json

import numpy as np
import pytest
import torch
from live_memory import LiveMemory
from PIL import Image

from mmseg_weakclip.common.images import read_color_image
from mmseg_weakclip.common.region_files import Regions, write_regions
from mmseg_weakclip.models.refine.crf_flips import (
    crf_uncertainty,
    flipping_pixels,
)
from mmseg_weakclip.models.refine.dense_crf import dense_crf
from mmseg_weakclip.models.refine.par import (
    PAMR_OPTIONS,
    refine_by_pixels,
)
from mmseg_weakclip.models.refine.sure_pixels import surest_pixels
from mmseg_weakclip.models.refine.transport import transport_cams
from mmseg_weakclip.pseudo_masks import refiner
from mmseg_weakclip.pseudo_masks.store import MaskStore
from mmseg_weakclip.pseudo_masks.writer import PseudoMaskWriter

META = dict(
    classes=('background', 'a', 'b', 'c'),
    palette=[[i, i, i] for i in range(4)],
)
SIZE = (30, 40)


@pytest.fixture
def make_samples(tmp_path):
    """Smooth random predictions for images on the disk."""
    rng = np.random.default_rng(0)

    def make(count=3, truth=True):
        samples = []
        for index in range(count):
            path = tmp_path / f'img{index}.png'
            image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            Image.fromarray(image).save(path)
            logits = torch.from_numpy(rng.normal(0, 3, (1, 4, 4, 5))).float()
            logits = torch.nn.functional.interpolate(
                logits, SIZE, mode='bilinear'
            )
            sample = dict(
                img_path=str(path),
                image_labels=((1, 2), (3,), ())[index % 3],
                seg_logits=dict(data=logits[0]),
            )
            if truth:
                mask = torch.from_numpy(rng.integers(0, 4, (1, *SIZE)))
                sample['gt_sem_seg'] = dict(data=mask)
            samples.append(sample)
        return samples

    return make


def run(folder, samples, **kwargs):
    writer = PseudoMaskWriter(str(folder), **dict(dict(workers=0), **kwargs))
    writer.dataset_meta = META
    writer.open(dict(model='m'))
    writer.process({}, samples)
    return writer.evaluate(len(samples))


def read(folder, index):
    return np.asarray(Image.open(folder / f'masks/img{index}.png'))


def test_plain_argmax(tmp_path, make_samples):
    samples = make_samples()
    result = run(tmp_path / 'out', samples)
    for index, sample in enumerate(samples):
        expected = sample['seg_logits']['data'].argmax(0).numpy()
        assert np.array_equal(read(tmp_path / 'out', index), expected)
    assert set(result) == {'pseudo_mask/raw_mIoU'}


def test_labels_restrict(tmp_path, make_samples):
    samples = make_samples()
    run(tmp_path / 'out', samples, use_labels=True)
    for index, sample in enumerate(samples):
        keep = [0, *sample['image_labels']]
        logits = sample['seg_logits']['data'][keep]
        expected = np.array(keep)[logits.argmax(0).numpy()]
        assert np.array_equal(read(tmp_path / 'out', index), expected)


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('crf', [None, 'voc12'])
def test_par_and_what_follows(tmp_path, make_samples, workers, crf):
    samples = make_samples()
    options = dict(par=dict(iterations=3), crf=crf, workers=workers)
    run(tmp_path / 'out', samples, **options)
    for index, sample in enumerate(samples):
        pixels = np.asarray(Image.open(sample['img_path']))
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
        probs = sample['seg_logits']['data'].softmax(0)
        keep = probs.argmax(0).unique()
        scores = refine_by_pixels(image, probs[keep][None], iterations=3)
        if crf:
            scores = dense_crf(image, scores, crf)
        expected = keep[scores[0].argmax(0)].numpy()
        assert np.array_equal(read(tmp_path / 'out', index), expected)


@pytest.mark.parametrize('workers', [0, 1])
def test_colors_of_the_input(tmp_path, make_samples, workers):
    """The network's input, enlarged to the image; not the file's pixels."""
    samples = make_samples()
    torch.manual_seed(0)
    inputs = list(torch.randint(0, 256, (3, 3, 12, 16)).to(torch.uint8))
    par = dict(iterations=4, dilations=(1, 2))
    writer = PseudoMaskWriter(
        str(tmp_path / 'out'), par=par, colors='input', workers=workers
    )
    writer.dataset_meta = META
    writer.open(dict(model='m'))
    writer.process(dict(inputs=inputs), samples)
    writer.evaluate(3)
    run(tmp_path / 'other', samples, par=par)
    for index, (sample, view) in enumerate(zip(samples, inputs)):
        image = torch.nn.functional.interpolate(
            view[None].float(), SIZE, mode='bilinear'
        )
        scores = sample['seg_logits']['data'].softmax(0)[None]
        expected = refine_by_pixels(image, scores, **par)[0].argmax(0)
        found = read(tmp_path / 'out', index)
        assert np.array_equal(found, expected.numpy())
        assert (found != read(tmp_path / 'other', index)).any()


def test_colors_of_several_views(tmp_path, make_samples):
    writer = PseudoMaskWriter(str(tmp_path / 'out'), colors='input')
    writer.dataset_meta = META
    writer.open(dict(model='m'))
    views = [[torch.zeros(3, 4, 4)] * 3] * 2
    with pytest.raises(ValueError, match='several views.*without --tta'):
        writer.process(dict(inputs=views), make_samples())
    with pytest.raises(ValueError, match="colors='other'"):
        PseudoMaskWriter(str(tmp_path), colors='other')


def test_crf_is_that_of_the_image(tmp_path, make_samples):
    samples = make_samples()
    run(tmp_path / 'out', samples, use_labels=True, crf='voc12')
    for index, sample in enumerate(samples):
        keep = [0, *sample['image_labels']]
        probs = sample['seg_logits']['data'].softmax(0)[keep]
        image = np.asarray(Image.open(sample['img_path']))
        refined = dense_crf(
            torch.from_numpy(image.copy()).permute(2, 0, 1)[None],
            probs[None],
            'voc12',
        )[0]
        expected = np.array(keep)[refined.argmax(0).numpy()]
        assert np.array_equal(read(tmp_path / 'out', index), expected)


def test_processes_give_the_same_masks_and_scores(tmp_path, make_samples):
    samples = make_samples(5)
    here = run(tmp_path / 'here', samples, crf='voc12', workers=0)
    there = run(tmp_path / 'there', samples, crf='voc12', workers=2)
    assert here == there
    for index in range(5):
        assert np.array_equal(
            read(tmp_path / 'here', index), read(tmp_path / 'there', index)
        )


def test_both_stages_are_scored(tmp_path, make_samples):
    samples = make_samples()
    for sample in samples:  # truth is what the network says
        sample['gt_sem_seg'] = dict(
            data=sample['seg_logits']['data'].argmax(0, keepdim=True)
        )
    result = run(tmp_path / 'out', samples, crf='voc12')
    assert result['pseudo_mask/raw_mIoU'] == 100
    assert result['pseudo_mask/refined_mIoU'] < 100


def test_min_score_leaves_pixels_out(tmp_path, make_samples):
    samples = make_samples(1)
    run(tmp_path / 'out', samples, min_score=0.6)
    best = samples[0]['seg_logits']['data'].softmax(0).amax(0).numpy()
    mask = read(tmp_path / 'out', 0)
    assert np.array_equal(mask == 255, best < 0.6)
    assert 0 < (mask == 255).mean() < 1


def test_the_surer_pixels_of_each_class(tmp_path, make_samples):
    samples = make_samples(1)
    run(tmp_path / 'all', samples)
    run(tmp_path / 'out', samples, sure_share=0.5)
    scores = samples[0]['seg_logits']['data'].softmax(0)
    sure = surest_pixels(scores, 0.5).numpy()
    mask, whole = (read(tmp_path / name, 0) for name in ('out', 'all'))
    assert np.array_equal(mask, np.where(sure, whole, 255))
    with pytest.raises(ValueError, match='sure_share=0 must be above 0'):
        PseudoMaskWriter(str(tmp_path / 'none'), sure_share=0)
    regions = dict(folder=str(tmp_path), recipe='fma')
    with pytest.raises(ValueError, match='sure_share=0.5 leave out unsure'):
        PseudoMaskWriter(
            str(tmp_path / 'fma'), sure_share=0.5, regions=regions
        )


@pytest.mark.parametrize('workers', [0, 1])
def test_lost_classes_are_kept(tmp_path, make_samples, workers):
    """Of earlier masks beside the new ones; which, is in the records."""
    samples = make_samples()
    earlier = tmp_path / 'first/masks'
    earlier.mkdir(parents=True)
    before = np.zeros(SIZE, np.uint8)
    before[:5] = 1
    for index, sample in enumerate(samples):
        Image.fromarray(before).save(earlier / f'img{index}.png')
        sample['seg_logits']['data'][1] = -99  # Not found.
    options = dict(use_labels=True, crf='voc12', workers=workers)
    plain = run(tmp_path / 'plain', samples, **options)
    options['keep_lost'] = str(earlier)
    kept = run(tmp_path / 'out', samples, **options)
    first = read(tmp_path / 'plain', 0)
    assert not (first == 1).any()
    assert np.array_equal(
        read(tmp_path / 'out', 0), np.where(before == 1, 1, first)
    )
    for index in (1, 2):  # Without that label.
        same = read(tmp_path / 'plain', index)
        assert np.array_equal(read(tmp_path / 'out', index), same)
    records = MaskStore(tmp_path / 'out').finished()
    assert [records[f'img{i}']['lost'] for i in range(3)] == [[1], [], []]
    # What is written is what is scored; the first scores are as before.
    assert plain['pseudo_mask/raw_mIoU'] == kept['pseudo_mask/raw_mIoU']
    areas = records['img0']['refined']
    assert areas['1'][1] == (read(tmp_path / 'out', 0) == 1).sum()
    with pytest.raises(ValueError, match='keep_lost needs the classes'):
        PseudoMaskWriter(str(tmp_path / 'none'), keep_lost=str(earlier))


def test_classes_compete_by_transport(tmp_path, make_samples):
    samples = make_samples(1)
    options = dict(smoothness=0.2)
    run(tmp_path / 'out', samples, transport=options)
    run(tmp_path / 'crf', samples, transport=options, crf='voc12')
    scores = samples[0]['seg_logits']['data'].softmax(0)
    moved = transport_cams(scores[None], **options)
    expected = moved[0].argmax(0).numpy()
    assert np.array_equal(read(tmp_path / 'out', 0), expected)
    assert not np.array_equal(expected, scores.argmax(0).numpy())
    image = read_color_image(tmp_path / 'img0.png')[..., ::-1].copy()
    colors = torch.from_numpy(image).permute(2, 0, 1)[None]
    refined = dense_crf(colors, moved, 'voc12')[0].argmax(0).numpy()
    assert np.array_equal(read(tmp_path / 'crf', 0), refined)
    with pytest.raises(ValueError, match="transport=.*argument 'width'"):
        PseudoMaskWriter(str(tmp_path / 'none'), transport=dict(width=3))


def test_averaged_scores_are_not_activated_again(tmp_path, make_samples):
    samples = make_samples(1)
    scores = torch.rand(4, *SIZE)
    samples[0]['seg_scores'] = dict(data=scores)
    run(tmp_path / 'out', samples)
    assert np.array_equal(read(tmp_path / 'out', 0), scores.argmax(0).numpy())


def test_without_truth_masks_are_written_all_the_same(tmp_path, make_samples):
    assert run(tmp_path / 'out', make_samples(truth=False)) == {}
    assert len(list((tmp_path / 'out/masks').iterdir())) == 3


def test_scores_cover_earlier_runs(tmp_path, make_samples):
    samples = make_samples(4)
    whole = run(tmp_path / 'whole', samples)
    run(tmp_path / 'parts', samples[:3])
    assert run(tmp_path / 'parts', samples[3:]) == whole


def test_other_settings_are_refused(tmp_path, make_samples):
    samples = make_samples(1)
    run(tmp_path / 'out', samples)
    message = r'\(writer\.crf: null there, "voc12" now\)'
    with pytest.raises(ValueError, match=message):
        run(tmp_path / 'out', samples, crf='voc12')
    settings = json.loads((tmp_path / 'out/settings.json').read_text())
    assert settings['classes'] == list(META['classes'])


def test_bad_input(tmp_path, make_samples):
    sample = make_samples(1)[0]
    writer = PseudoMaskWriter(str(tmp_path / 'out'))
    writer.dataset_meta = META
    with pytest.raises(RuntimeError, match='PseudoMaskHook opens it'):
        writer.process({}, [sample])
    del sample['image_labels']
    with pytest.raises(ValueError, match='img0.png .*LoadImageLabels'):
        run(tmp_path / 'out2', [sample], use_labels=True)
    sample['seg_logits'] = dict(data=torch.rand(4, 8, 8))
    del sample['gt_sem_seg']
    with pytest.raises(ValueError, match=r'img0.png has \(30, 40\) pixels'):
        run(tmp_path / 'out3', [sample], crf='voc12')


@pytest.mark.parametrize('options', [dict(crf='voc12'), dict(par={})])
def test_large_images_are_refined_on_the_cpu(
    tmp_path, make_samples, options, monkeypatch, device
):
    """With the same result, and not before the memory is too small."""
    name = 'dense_crf' if 'crf' in options else 'refine_by_pixels'
    refine, seen = getattr(refiner, name), []

    def look(images, scores, *args, **kwargs):
        seen.append(scores.device.type)
        assert images.device == scores.device
        return refine(images, scores, *args, **kwargs)

    monkeypatch.setattr(refiner, name, look)
    samples = make_samples(1)
    needed = refiner.Refiner(
        options.get('par'), options.get('crf'), 'auto', 0.0, 255
    ).refine_bytes(3, *SIZE)
    for limit in (needed, needed - 1):
        monkeypatch.setattr(refiner, 'DEVICE_BYTES', limit)
        logits = samples[0]['seg_logits']['data'].to(device)
        here = [dict(samples[0], seg_logits=dict(data=logits))]
        run(tmp_path / f'{limit}', here, use_labels=True, **options)
    assert seen == [device.type, 'cpu']
    assert np.array_equal(
        read(tmp_path / f'{needed}', 0), read(tmp_path / f'{needed - 1}', 0)
    )


def test_pamr_by_its_name(tmp_path, samples):
    run(tmp_path / 'name', samples, par='pamr')
    run(tmp_path / 'arguments', samples, par=dict(PAMR_OPTIONS))
    run(tmp_path / 'par', samples, par='par')
    masks = [read(tmp_path / n, 0) for n in ('name', 'arguments', 'par')]
    assert np.array_equal(*masks[:2])
    assert not np.array_equal(*masks[1:])


@pytest.mark.parametrize('classes', [2, 40])
def test_refinement_keeps_its_memory(classes):
    """The colours of photographs vary less than noise: the worst case."""
    images = torch.randint(0, 256, (1, 3, 160, 240)).float()
    scores = torch.rand(1, classes, 160, 240).softmax(1)
    with LiveMemory() as memory:
        refine_by_pixels(images, scores, iterations=2)
    bound = refiner.Refiner({}, None, 'auto', 0.0, 255)
    assert memory.peak <= bound.refine_bytes(classes, 160, 240)
    with LiveMemory() as memory:
        dense_crf(images, scores, 'voc12')
    bound = refiner.Refiner(None, 'voc12', 'auto', 0.0, 255)
    assert memory.peak <= 1.25 * bound.refine_bytes(classes, 160, 240)


@pytest.fixture
def samples(make_samples):
    return make_samples(3)


@pytest.fixture
def regions(tmp_path, samples):
    """Regions of three images: halves, none, and those of another image."""
    folder = tmp_path / 'regions'
    folder.mkdir()
    halves = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) // (SIZE[1] * 15)
    for index, found in enumerate(
        [Regions.of_labels(halves), Regions.of_masks([], SIZE)]
    ):
        image = tmp_path / f'img{index}.png'
        write_regions(folder / f'img{index}.json', found, image, 'halves')
    image = tmp_path / 'img0.png'
    write_regions(folder / 'img2.json', found, image, 'halves')
    return folder


@pytest.mark.parametrize('workers', [0, 1])
def test_regions_vote(tmp_path, samples, regions, workers):
    samples = samples[:2]
    options = dict(regions=dict(folder=str(regions)), workers=workers)
    scores = run(tmp_path / 'out', samples, **options)
    assert set(scores) == {'pseudo_mask/raw_mIoU', 'pseudo_mask/refined_mIoU'}
    probabilities = samples[0]['seg_logits']['data'].softmax(0)
    mask = read(tmp_path / 'out', 0)
    for half in (np.s_[:15], np.s_[15:]):
        best = probabilities[:, half].mean((1, 2)).argmax().item()
        assert (mask[half] == best).all()
    # Without regions, the second keeps its scores.
    own = samples[1]['seg_logits']['data'].argmax(0)
    assert np.array_equal(read(tmp_path / 'out', 1), own)
    records = (tmp_path / 'out/records_0.jsonl').read_text().splitlines()
    assert [json.loads(line)['regions'] for line in records] == [2, 0]


@pytest.mark.parametrize('recipe', ['sepl', 'fma'])
def test_other_recipes(tmp_path, samples, regions, recipe):
    options = dict(folder=str(regions), recipe=recipe)
    run(tmp_path / 'out', samples[:1], crf='voc12', regions=options)
    mask = read(tmp_path / 'out', 0)
    assert all(len(np.unique(half)) == 1 for half in (mask[:15], mask[15:]))


def test_regions_of_another_image(tmp_path, samples, regions):
    options = dict(regions=dict(folder=str(regions)))
    with pytest.raises(ValueError, match=r'img2\.json .*another image'):
        run(tmp_path / 'out', samples, **options)


def test_regions_of_another_size(tmp_path, samples, regions):
    del samples[1:], samples[0]['gt_sem_seg']
    samples[0]['seg_logits'] = dict(data=torch.rand(4, 8, 8))
    options = dict(regions=dict(folder=str(regions)))
    with pytest.raises(ValueError, match=r'img0\.json has .*\(8, 8\)'):
        run(tmp_path / 'out', samples, **options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(folder='nowhere'), 'nowhere does not exist; make it with'),
        (dict(), 'folder None does not exist'),
        (dict(folder='.', recipe='sam'), "recipe='sam' must be one of"),
        (dict(folder='.', width=3), "argument 'width'"),
        (dict(folder='.', recipe='sepl'), "min_score=0.5 .*recipe='vote'"),
        (dict(folder='.', recipe='fma'), 'min_score=0.5'),
    ],
)
def test_wrong_options_of_regions(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        PseudoMaskWriter(str(tmp_path / 'out'), regions=options, min_score=0.5)


def test_regions_that_were_made_anew_are_other_settings(
    tmp_path, samples, regions
):
    options = dict(regions=dict(folder=str(regions)))
    (regions / 'settings.json').write_text('{"count": 5}')
    run(tmp_path / 'out', samples[:1], **options)
    run(tmp_path / 'out', samples[:1], **options)
    (regions / 'settings.json').write_text('{"count": 9}')
    with pytest.raises(ValueError, match=r'writer\.regions\.made'):
        run(tmp_path / 'out', samples[:1], **options)


@pytest.mark.parametrize('workers', [0, 1])
def test_pixels_that_flip_are_ignored(tmp_path, samples, workers):
    """The rest of the mask stays, and so does the mask before the CRF."""
    crf = dict(gaussian_compat=0.5, bilateral_compat=0.5, bilateral_sxy=5)
    options = dict(crf=crf, workers=workers)
    plain = run(tmp_path / 'plain', samples, **options)
    scores = run(tmp_path / 'out', samples, flips=dict(limit=0.5), **options)
    name = 'pseudo_mask/raw_mIoU'
    assert scores[name] == plain[name]
    for index, sample in enumerate(samples):
        probabilities = sample['seg_logits']['data'].softmax(0)
        colors = np.asarray(Image.open(sample['img_path']))
        image = torch.from_numpy(colors.copy()).movedim(-1, 0)
        before = read(tmp_path / 'plain', index)
        unsure = flipping_pixels(
            crf_uncertainty(
                image, probabilities, torch.from_numpy(before).long(), crf
            ),
            0.5,
        ).numpy()
        assert 0 < unsure.mean() < 1
        mask = read(tmp_path / 'out', index)
        assert np.array_equal(mask, np.where(unsure, 255, before))


def test_an_unsure_class_is_not_lost(tmp_path, make_samples, monkeypatch):
    """The CRF found it, though each of its pixels flips."""
    (sample,) = make_samples(1)
    earlier = tmp_path / 'first/masks'
    earlier.mkdir(parents=True)
    before = Image.fromarray(np.ones(SIZE, np.uint8))
    before.save(earlier / 'img0.png')
    options = dict(use_labels=True, crf='voc12')
    run(tmp_path / 'crf', [sample], **options)
    own = set(sample['image_labels'])
    assert own <= set(np.unique(read(tmp_path / 'crf', 0)).tolist())
    monkeypatch.setattr(
        refiner, 'flipping_pixels', lambda spread, limit: spread > -1
    )
    options.update(flips={}, keep_lost=str(earlier))
    run(tmp_path / 'out', [sample], **options)
    assert (read(tmp_path / 'out', 0) == 255).all()
    records = MaskStore(tmp_path / 'out').finished()
    assert records['img0']['lost'] == []


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(flips={}), 'set crf as well'),
        (dict(flips=dict(power=2), crf='voc12'), r"unknown .*\['power'\]"),
    ],
)
def test_wrong_options_of_flips(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        PseudoMaskWriter(str(tmp_path / 'out'), **options)
