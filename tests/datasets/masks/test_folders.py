import os

import pytest
from mmengine import fileio

from mmseg_weakclip.datasets.masks.folders import (
    check_masks_exist,
    find_mask_folder,
    find_missing_masks,
)


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_missing_in_the_order_of_the_list(tmp_path):
    touch(tmp_path, 'b.png', 'x/c.png', 'a.jpg', 'd.png.part')
    names = ['d', 'b', 'a', 'x/c', 'c']
    assert find_missing_masks(names, str(tmp_path)) == ['d', 'a', 'c']
    assert find_missing_masks(['a'], str(tmp_path), '.jpg') == []


def test_links_count(tmp_path):
    touch(tmp_path, 'real/a.png', 'far/b.png')
    folder = tmp_path / 'linked'
    folder.mkdir()
    (folder / 'a.png').symlink_to(tmp_path / 'real/a.png')
    (folder / 'far').symlink_to(tmp_path / 'far')
    assert find_missing_masks(['a', 'far/b'], str(folder)) == []


def test_the_folder_is_listed_once(tmp_path, monkeypatch):
    """No call for each file: it may be far away, and there are many."""
    touch(tmp_path, *(f'{i}.png' for i in range(50)))
    calls = []
    listing = fileio.list_dir_or_file
    monkeypatch.setattr(
        fileio,
        'list_dir_or_file',
        lambda *args, **kwargs: calls.append(1) or listing(*args, **kwargs),
    )
    for name in ('exists', 'isfile', 'get'):
        monkeypatch.setattr(fileio, name, lambda *_: pytest.fail('asked'))
    names = [str(i) for i in range(60)]
    missing = find_missing_masks(names, str(tmp_path))
    assert missing == [str(i) for i in range(50, 60)]
    assert len(calls) == 1


def test_message_names_the_first_and_counts_all(tmp_path):
    names = [f'{i:02}' for i in range(20)]
    touch(tmp_path, '00.png')
    with pytest.raises(FileNotFoundError) as caught:
        check_masks_exist(names, str(tmp_path), shown=3)
    message = str(caught.value)
    assert f'{tmp_path} lacks the masks of 19 of 20 ' in message
    assert 'images (01.png, 02.png, 03.png, ...). Make' in message
    assert '04' not in message
    check_masks_exist(['00'], str(tmp_path))


@pytest.mark.parametrize(
    ('files', 'expected'),
    [
        (['1.png'], ''),
        (['masks/1.png', 'settings.json'], 'masks'),
        # As PseudoMaskWriter leaves it, pictures beside the masks.
        (['masks/1.png', 'pictures/1.png'], 'masks'),
        (['a/1.png', 'b/2.png'], ''),
        (['masks/a/1.png'], 'masks'),
        # A folder of masks that happens to have one of that name.
        (['1.png', 'masks/1.png'], ''),
    ],
)
def test_where_masks_are(tmp_path, monkeypatch, files, expected):
    touch(tmp_path, *(f'out/{name}' for name in files))
    monkeypatch.chdir(tmp_path)
    found = find_mask_folder('out')
    assert os.path.isabs(found)
    assert found == tmp_path / 'out' / expected
    assert find_mask_folder(tmp_path / 'out') == found


def test_no_masks(tmp_path):
    touch(tmp_path, 'out/1.jpg')
    with pytest.raises(FileNotFoundError, match=r'out holds no \*\.png mask'):
        find_mask_folder(tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match='gone does not exist'):
        find_mask_folder(tmp_path / 'gone')
    with pytest.raises(FileNotFoundError, match='1.jpg is not a folder'):
        find_mask_folder(tmp_path / 'out/1.jpg')
