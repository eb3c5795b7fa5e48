from mmseg_weakclip.apps.wsss.inputs.classes import read_classes
from mmseg_weakclip.common.masks import read_mask
from mmseg_weakclip.datasets.labels.tables.reader import read_label_table
from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.writer import write_plain, write_toyland


def test_plain_folder(tmp_path):
    write_toyland(tmp_path / 'toyland', 3, 2, workers=1)
    for _ in range(2):
        write_plain(tmp_path / 'toyland', tmp_path / 'plain')
    photos = sorted(p.name for p in (tmp_path / 'plain/photos').iterdir())
    table = read_label_table(tmp_path / 'plain/labels.csv')
    assert sorted(row.image for row in table.rows) == photos
    assert len(photos) == 5
    classes = read_classes(str(tmp_path / 'plain/classes.yaml'))
    assert classes.names[1:] == tuple(CLASSES)
    assert 'water' in classes.background
    masks = sorted((tmp_path / 'plain/masks').iterdir())
    assert [mask.stem for mask in masks] == ['val_00000', 'val_00001']
    # The ids in masks are places in that list of classes.
    for mask in masks:
        (row,) = [r for r in table.rows if r.image == f'{mask.stem}.jpg']
        ids = set(read_mask(str(mask)).ravel().tolist()) - {0, 255}
        assert {classes.names[i] for i in ids} <= set(row.names)
