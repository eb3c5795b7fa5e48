import open_clip
import pytest
import torch
from retrieval import normalize

from mmseg_weakclip.models.clims.views import (
    ImageViews,
    ViewStore,
    cut_views,
    encode_views,
    five_crops,
)


def test_five_crops():
    boxes = torch.tensor(five_crops(0.5))
    assert boxes.tolist() == [
        [0, 0, 1, 1],
        [0, 0, 0.5, 0.5],
        [0.5, 0, 1, 0.5],
        [0, 0.5, 0.5, 1],
        [0.5, 0.5, 1, 1],
        [0.25, 0.25, 0.75, 0.75],
    ]
    assert five_crops(None) == ((0, 0, 1, 1),)
    with pytest.raises(ValueError, match='share=1.5'):
        five_crops(1.5)


def test_views_show_their_part(device):
    image = torch.zeros(3, 8, 12, device=device)
    image[0, :4, :6] = 255
    views = cut_views(image, five_crops(0.5), (5, 7))
    assert views.shape == (6, 3, 5, 7)
    mean, std = (
        torch.tensor(value, device=device).view(3, 1, 1)
        for value in (
            open_clip.OPENAI_DATASET_MEAN,
            open_clip.OPENAI_DATASET_STD,
        )
    )
    colours = views * std + mean
    red = torch.zeros(3, 5, 7, device=device)
    torch.testing.assert_close(colours[2:5], red.expand(3, -1, -1, -1))
    red[0] = 1
    torch.testing.assert_close(colours[1], red)


def test_at_its_own_size_an_image_is_normalised_only(device):
    image = torch.randint(0, 256, (3, 6, 6), device=device).float()
    views = cut_views(image, five_crops(None), (6, 6))
    torch.testing.assert_close(views, normalize(image[None]))


def test_views_of_a_single_pixel(device):
    image = torch.full((3, 1, 1), 255, dtype=torch.uint8, device=device)
    views = cut_views(image, five_crops(0.3), (4, 4))
    torch.testing.assert_close(views, views[:1, :, :1, :1].expand_as(views))


def test_images_are_bgr():
    blue = torch.zeros(3, 4, 4, dtype=torch.uint8)
    blue[0] = 255
    (view,) = ImageViews([dict(inputs=blue)], five_crops(None), (4, 4))[0]
    assert view[2].min() > view[:2].max()


class Encoder:
    """Counts the images that it sees, and may be stopped."""

    def __init__(self, limit=99):
        self.seen, self.limit = 0, limit

    def __call__(self, images):
        self.seen += len(images)
        if self.seen > self.limit:
            raise KeyboardInterrupt
        return images.flatten(1) * 2


IMAGES = torch.arange(7 * 2 * 3).view(7, 2, 3, 1, 1).float()
MADE_OF = dict(fingerprint=7, boxes=five_crops(None))


@pytest.fixture
def make_store(tmp_path):
    def make(**changes):
        arguments = dict(made_of=MADE_OF, count=7, chunk=3)
        return ViewStore(tmp_path / 'views', **{**arguments, **changes})

    return make


@pytest.mark.parametrize('batch_size', [1, 2, 50])
def test_store(make_store, device, batch_size):
    store = make_store()
    assert store.missing() == [range(3), range(3, 6), range(6, 7)]
    encode_views(store, IMAGES, Encoder(), device, batch_size)
    assert store.missing() == []
    assert store.read().dtype == torch.float16
    assert torch.equal(store.read().float(), 2 * IMAGES.flatten(2))


def test_a_run_that_was_stopped_goes_on(make_store):
    with pytest.raises(KeyboardInterrupt):
        encode_views(make_store(), IMAGES, Encoder(limit=9), 'cpu', 2)
    assert make_store().missing() == [range(3, 6), range(6, 7)]
    rest = Encoder()
    encode_views(make_store(), IMAGES, rest, 'cpu', 2)
    assert rest.seen == 4 * 2
    assert torch.equal(make_store().read().float(), 2 * IMAGES.flatten(2))
    nothing = Encoder(limit=0)
    encode_views(make_store(), IMAGES, nothing, 'cpu', 2)
    assert nothing.seen == 0


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(made_of={**MADE_OF, 'fingerprint': 8}), 'fingerprint 7 inst'),
        (dict(made_of={'fingerprint': 7}), 'boxes .* instead of None'),
        (dict(count=8), 'count 7 instead of 8'),
        (dict(chunk=4), 'chunk 3 instead of 4'),
    ],
)
def test_made_of_other_things(make_store, changes, message):
    make_store()
    with pytest.raises(ValueError, match=f'views .*{message}.*--work-dir'):
        make_store(**changes)


def test_a_damaged_file(make_store):
    store = make_store()
    encode_views(store, IMAGES, Encoder(), 'cpu')
    path = store.folder / 'views_0000003.safetensors'
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match='0000003.safetensors is damaged'):
        store.read()
