import json

import pytest

from mmseg_weakclip.datasets.held_out import held_out_ids
from mmseg_weakclip.datasets.weak import WeakSegDataset

IDS = [f'img_{i}' for i in range(200)]


def test_share_of_the_images():
    found = held_out_ids(IDS, 0.1)
    assert len(found) == 20
    assert found < set(IDS)
    assert held_out_ids(IDS[::-1], 0.1) == found
    # Neighbours of one video do not go together.
    numbers = sorted(int(name[4:]) for name in found)
    assert numbers[-1] - numbers[0] > 100


def test_new_images_change_little():
    more = held_out_ids([*IDS, *(f'new_{i}' for i in range(20))], 0.1)
    assert len(held_out_ids(IDS, 0.1) - more) <= 4


@pytest.mark.parametrize(
    ('ids', 'share', 'said'),
    [
        (IDS, 0, 'held_out_share=0 '),
        (IDS, 1.0, 'held_out_share=1.0 '),
        (IDS[:1], 0.1, '1 images cannot be parted'),
        (IDS[:3], 0.9, '3 images cannot be parted'),
    ],
)
def test_no_parts(ids, share, said):
    with pytest.raises(ValueError, match=said):
        held_out_ids(ids, share)


@pytest.fixture
def build(tmp_path):
    (tmp_path / 'list.txt').write_text('\n'.join(IDS))
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'labels.json').write_text(json.dumps({}))

    def make(**options):
        dataset = WeakSegDataset(
            data_root=str(tmp_path),
            ann_file='list.txt',
            data_prefix=dict(img_path='photos'),
            metainfo=dict(classes=('background', 'cat')),
            pipeline=[],
            **options,
        )
        infos = map(dataset.get_data_info, range(len(dataset)))
        return [info['img_id'] for info in infos]

    return make


def test_parts_of_a_data_set(build):
    fit, held_out = (
        build(part=part, held_out_share=0.25) for part in ('fit', 'held_out')
    )
    assert len(held_out) == 50
    assert set(held_out) == held_out_ids(IDS, 0.25)
    # In the order of the list.
    assert fit == [name for name in IDS if name not in held_out]
    assert build() == IDS
    with pytest.raises(ValueError, match="part='half' must be None or one of"):
        build(part='half')
