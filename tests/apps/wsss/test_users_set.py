"""The command on images of every odd kind, from end to end."""

import json

import numpy as np
from PIL import Image

from mmseg_weakclip.common.masks import read_mask


def make_odd_set(folder, photos):
    """A user's own images, of every odd kind."""
    sources = sorted((photos / 'photos').iterdir())
    images = [Image.open(path).convert('RGB') for path in sources[:10]]
    for name in ('one', 'two', 'Größe'):
        (folder / name).mkdir(parents=True)
    images[0].save(folder / 'one/IMG_1.JPG', format='JPEG')
    images[1].save(folder / 'two/IMG_1.JPG', format='JPEG')
    exif = Image.Exif()
    exif[0x0112] = 6
    images[2].crop((0, 0, 96, 60)).save(
        folder / 'Größe/mein Hund äöü.jpg', exif=exif
    )
    deep = np.asarray(images[3].convert('L')).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / 'one/deep.png')
    images[4].resize((4000, 3000)).save(folder / 'big photo.jpeg')
    images[5].resize((40, 40)).save(folder / 'icon.PNG')
    images[6].save(folder / 'two/unlabelled.webp')
    images[7].save(folder / 'one/more.jpg')
    (folder.parent / 'labels.csv').write_bytes(
        (
            '\ufeff"Image";"Labels"\r\n'
            'one/IMG_1.jpg;"boat, red car"\r\ntwo/IMG_1.JPG;red car\r\n'
            '"Größe/mein Hund äöü.jpg";"Bäume"\r\ndeep;boat\r\n'
            'big photo.jpeg;Bäume|boat\r\nicon;red car\r\nmore;boat\r\n'
            'missing.jpg;boat\r\n'
        ).encode()
    )


def test_a_users_own_set(call, photos, small, tmp_path):
    """Three classes, and two more that no image shows."""
    make_odd_set(tmp_path / 'set', photos)
    classes = ['zeppelin', 'red car', 'Bäume', 'boat', 'unicorn']
    words = tmp_path / 'classes.yaml'
    words.write_text(f'classes: {json.dumps(classes)}', encoding='utf-8')
    out = tmp_path / 'out'
    stdout, _ = call(
        '--images', tmp_path / 'set', '--labels', tmp_path / 'labels.csv',
        '--classes', words, '--work-dir', out, *small, '--max-side', '300',
    )  # fmt: skip
    assert 'unicorn 0' in stdout
    assert '1 without labels' in stdout
    assert 'no training image shows zeppelin, unicorn' in stdout
    assert '1 large image reduced' in stdout
    for kind, missing in (('pseudo_masks', 1), ('predictions', 0)):
        folder = out / 'results' / kind
        masks = {
            str(path.relative_to(folder)): read_mask(str(path)).shape
            for path in folder.rglob('*.png')
        }
        assert len(masks) == 8 - missing
        assert masks['one/IMG_1.png'] == masks['two/IMG_1.png'] == (96, 96)
        # As viewers show it: stored 96 wide and 60 high, turned.
        assert masks['Größe/mein Hund äöü.png'] == (96, 60)
        assert masks['big photo.png'] == (3000, 4000)
        assert masks['icon.png'] == (40, 40)
    found = json.loads((out / 'data/classes.json').read_text())
    assert [c['name'] for c in found] == ['background', *classes]
