import math

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder

from mmseg_weakclip.models.segclip.regions import region_scores

METAS = [dict(img_shape=(48, 48))]


def test_pixels_have_the_scores_of_their_region(
    make_backbone, make_head, device
):
    head = make_head(threshold=0.5, topk=2).eval()
    inputs = make_backbone()(torch.randn(2, 3, 48, 64, device=device))
    regions = inputs[-1]
    scores = head.predict(inputs, METAS * 2, None)
    assert scores.shape == (2, 4, 48, 64)
    names = region_scores(
        regions.region_embeddings,
        regions.image_embedding,
        head.text(),
        head.logit_scale.exp(),
        2,
    )
    for image in range(2):
        bar = min(0.5, float(names[image].max()))
        rows = {tuple(row) for row in names[image].tolist()}
        for y, x in ((0, 0), (20, 33), (47, 63)):
            background, *words = scores[image, :, y, x].tolist()
            assert tuple(words) in rows
            assert background == float(max(words) < bar)


def test_background_words_and_synonyms(make_backbone, make_head, device):
    inputs = make_backbone()(torch.randn(1, 3, 48, 48, device=device))
    names = ('boat', 'fish', 'house')
    plain = make_head(text=dict(names=names), num_classes=3, threshold=None)
    expected = plain.eval().predict(inputs, METAS, None)
    assert expected.shape[1] == 3

    def score(**options):
        head = make_head(threshold=None, num_classes=2, **options)
        head.text.tower.load_state_dict(plain.text.tower.state_dict())
        return head.eval().predict(inputs, METAS, None)

    scores = score(
        text=dict(names=('boat',), background_words=('fish', 'house'))
    )
    assert torch.allclose(scores[:, 1], expected[:, 0])
    assert torch.allclose(scores[:, 0], expected[:, 1:].amax(1))
    scores = score(
        text=dict(names=('boat', ('fish', 'house')), synonyms='keep')
    )
    assert torch.allclose(scores[:, 1], expected[:, 1:].amax(1))


@pytest.mark.parametrize('size', [(224, 336), (97, 65), (8, 24)])
def test_any_size_and_batches(make_backbone, make_head, device, size):
    vit, head = make_backbone(), make_head().eval()
    images = torch.randn(3, 3, *size, device=device)
    together = head.predict(vit(images), METAS * 3, None)
    assert together.shape == (3, 4, *size)
    for index in range(3):
        alone = head.predict(vit(images[index : index + 1]), METAS, None)
        assert torch.allclose(alone[0], together[index], atol=1e-5)


def test_one_window_is_the_whole_image(make_backbone, make_head, device):
    def predict(test_cfg):
        model = EncoderDecoder.__new__(EncoderDecoder)
        torch.nn.Module.__init__(model)
        model.backbone, model.decode_head = make_backbone(), make_head()
        model.test_cfg = test_cfg
        model.out_channels, model.align_corners = 4, False
        model.eval()
        metas = [dict(img_shape=(97, 65), ori_shape=(97, 65))] * 2
        torch.manual_seed(3)
        images = torch.randn(2, 3, 97, 65, device=device)
        return model.inference(images, metas)

    from mmengine.config import ConfigDict

    whole = predict(ConfigDict(mode='whole'))
    slide = predict(
        ConfigDict(mode='slide', crop_size=(224, 224), stride=(224, 224))
    )
    assert torch.equal(whole, slide)


def test_captions_teach_all_parts(
    make_backbone, make_head, caption_samples, device
):
    vit, head = make_backbone().train(), make_head().train()
    samples = caption_samples('a boat', 'a red fish', 'two houses', 'sky')
    losses = head.loss(
        vit(torch.randn(4, 3, 48, 48, device=device)), samples, None
    )
    assert set(losses) == {
        'loss_contrastive',
        'logit_scale',
        'cut_captions',
        'used_groups',
    }
    assert losses['loss_contrastive'].item() == pytest.approx(
        math.log(4), abs=2
    )
    losses['loss_contrastive'].backward()
    text = dict(head.text.tower.module.named_parameters())
    for name in (
        'token_embedding.weight',
        'text_projection',
        'ln_final.weight',
    ):
        assert text[name].grad.abs().max() > 0, name
    assert head.logit_scale.grad is not None
    for name in (
        'group.centers',
        'tower.module.proj',
        'tower.module.conv1.weight',
    ):
        assert vit.get_parameter(name).grad.abs().max() > 0, name


def test_loss_is_the_contrast_of_open_clip_by_hand(
    make_backbone, make_head, caption_samples, device
):
    vit, head = make_backbone(), make_head(logit_scale=5.0)
    inputs = vit(torch.randn(2, 3, 48, 48, device=device))
    losses = head.loss(inputs, caption_samples('a boat', 'a fish'), None)
    from open_clip import create_model, get_tokenizer

    clip = create_model('toyclip').to(device)
    clip.load_state_dict(
        {
            **clip.state_dict(),
            **head.text.tower.module.state_dict(),
        }
    )
    tokens = get_tokenizer('toyclip')(['a boat', 'a fish']).to(device)
    text = clip.encode_text(tokens, normalize=True)
    image = torch.nn.functional.normalize(inputs[-1].image_embedding, dim=1)
    logits = 5 * image @ text.T
    target = torch.arange(2, device=device)
    cross = torch.nn.functional.cross_entropy
    expected = (cross(logits, target) + cross(logits.T, target)) / 2
    assert losses['loss_contrastive'].item() == pytest.approx(
        expected.item(), abs=1e-4
    )


def test_superpixels(make_backbone, make_head, caption_samples, device):
    head = make_head(superpixel=dict(type='SuperpixelKLLoss'))
    inputs = make_backbone()(torch.randn(2, 3, 48, 48, device=device))
    samples = caption_samples('a boat', 'a fish')
    with pytest.raises(ValueError, match='FelzenszwalbSuperpixels'):
        head.loss(inputs, samples, None)
    for sample in samples:
        ids = torch.zeros(48, 48, dtype=torch.long, device=device)
        sample.set_data(dict(superpixels=PixelData(data=ids[None])))
    one = head.loss(inputs, samples, None)['loss_superpixel']
    assert one > 0
    for sample in samples:  # each patch by itself
        ids = torch.arange(36, device=device).view(6, 6)
        ids = ids.repeat_interleave(8, 0).repeat_interleave(8, 1)
        sample.set_data(dict(superpixels=PixelData(data=ids[None])))
    assert head.loss(inputs, samples, None)['loss_superpixel'].abs() < 1e-6


def test_long_captions_keep_their_end(
    make_backbone, make_head, caption_samples, device
):
    inputs = make_backbone()(torch.randn(2, 3, 48, 48, device=device))
    head = make_head(context_length=6)
    long = 'one two three four five six seven'
    losses = head.loss(inputs, caption_samples(long, 'a fish'), None)
    assert losses['cut_captions'] == 1
    cut = head.loss(
        inputs, caption_samples('one two three four', 'a fish'), None
    )
    assert cut['cut_captions'] == 0
    assert torch.equal(losses['loss_contrastive'], cut['loss_contrastive'])


def test_scale_never_passes_a_hundred(
    make_backbone, make_head, caption_samples, device
):
    head = make_head(logit_scale=400.0)
    inputs = make_backbone()(torch.randn(2, 3, 48, 48, device=device))
    losses = head.loss(inputs, caption_samples('a boat', 'a fish'), None)
    assert losses['logit_scale'].item() == pytest.approx(100, abs=1e-3)
    assert head.logit_scale.item() == pytest.approx(math.log(100))


def test_a_caption_is_needed(make_backbone, make_head, caption_samples):
    vit, head = make_backbone(), make_head()
    device = head.logit_scale.device
    inputs = vit(torch.randn(2, 3, 48, 48, device=device))
    with pytest.raises(ValueError, match='1.jpg comes without a caption'):
        head.loss(inputs, caption_samples('a boat', ' '), None)
    samples = caption_samples('a boat', 'a fish')
    samples[0].set_metainfo(dict(caption=None))
    with pytest.raises(ValueError, match='0.jpg comes without a caption'):
        head.loss(inputs, samples, None)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(threshold=1.2), 'threshold=1.2'),
        (dict(threshold=-0.1), 'threshold=-0.1'),
        (dict(topk=0), 'topk=0'),
        (dict(context_length=2), 'context_length=2'),
    ],
)
def test_bad_options(make_head, options, message):
    with pytest.raises(ValueError, match=message):
        make_head(**options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(text=dict(names=('boat',)), num_classes=2), 'has only one'),
        (dict(text=dict(names=('boat',)), num_classes=1), 'has one class'),
        (dict(num_classes=7), 'has 3 names'),
        (dict(threshold=None), 'define it with'),
        (dict(num_classes=3), 'no background for'),
    ],
)
def test_bad_vocabulary(make_backbone, make_head, options, message):
    head = make_head(**options).eval()
    device = head.logit_scale.device
    inputs = make_backbone()(torch.randn(1, 3, 48, 48, device=device))
    with pytest.raises(ValueError, match=message):
        head.predict(inputs, METAS, None)


def test_needs_regions_and_losses(make_backbone, make_head, caption_samples):
    head = make_head(contrastive=None)
    with pytest.raises(RuntimeError, match='contrastive'):
        head.loss((), caption_samples('a boat'), None)
    device = head.logit_scale.device
    vit = make_backbone(with_tokens=False)
    inputs = vit(torch.randn(1, 3, 48, 48, device=device))
    with pytest.raises(ValueError, match='RegionTextHead needs the regions'):
        make_head().predict(inputs, METAS, None)


def test_half_precision(make_backbone, make_head, caption_samples, device):
    vit, head = make_backbone(), make_head()
    images = torch.randn(2, 3, 48, 48, device=device)
    with torch.autocast(device.type, torch.bfloat16):
        inputs = vit(images)
        losses = head.loss(inputs, caption_samples('boat', 'fish'), None)
        scores = head.eval().predict(inputs, METAS * 2, None)
    assert losses['loss_contrastive'].dtype == torch.float32
    assert losses['loss_contrastive'].isfinite()
    assert scores.dtype == torch.float32
    assert scores.amax() <= 1
