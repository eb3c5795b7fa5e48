import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg_weakclip.pseudo_masks.store import load_scores, save_scores


def test_travel_through_a_file(tmp_path):
    """Smooth maps come back as they were, but for rounding."""
    path = tmp_path / 'a.npz'
    coarse = torch.rand(2, 1, 3, 4)
    maps = F.interpolate(coarse, (60, 81), mode='bicubic').clamp(0, 1)[:, 0]
    save_scores(path, maps, np.array([3, 17]))
    scores, classes = load_scores(path)
    assert scores.shape == (2, 60, 81)
    assert classes.tolist() == [3, 17]
    assert (scores - maps).abs().mean() < 0.02
    assert path.stat().st_size < maps.numel() // 8


def test_values_by_hand(tmp_path):
    """Means over pixels, in steps of 1 / 255."""
    path = tmp_path / 'a.npz'
    maps = torch.zeros(1, 4, 4)
    maps[0, 0, 0] = 1
    save_scores(path, maps, np.array([1]), stride=2)
    with np.load(path) as file:
        assert file['scores'].dtype == np.uint8
        assert file['scores'].tolist() == [[[64, 0], [0, 0]]]
        assert file['size'].tolist() == [4, 4]


def test_no_class_at_all(tmp_path):
    path = tmp_path / 'a.npz'
    save_scores(path, torch.zeros(0, 30, 20), np.array([], int))
    scores, classes = load_scores(path)
    assert scores.shape == (0, 30, 20)
    assert classes.tolist() == []


def test_bad_input(tmp_path):
    path = tmp_path / 'a.npz'
    with pytest.raises(ValueError, match='a.npz: scores from 0 to 3'):
        save_scores(path, torch.tensor([[[0.0, 3.0]]]), np.array([1]))
    assert not path.exists()
    for content in (b'', b'hello'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='a.npz holds no class maps'):
            load_scores(path)
    np.savez(path, scores=np.zeros(3))
    with pytest.raises(ValueError, match='a.npz holds no class maps'):
        load_scores(path)
