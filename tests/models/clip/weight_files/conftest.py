"""A CLIP small enough to be written and read a thousand times."""

import json

import pytest
import torch
from safetensors.torch import save_file

from mmseg_weakclip.models.clip.weights import load_clip

MODEL = dict(
    embed_dim=8,
    quick_gelu=True,
    vision_cfg=dict(
        image_size=8, layers=1, width=16, head_width=8, patch_size=4
    ),
    text_cfg=dict(
        context_length=6, vocab_size=20, width=16, heads=2, layers=1
    ),
)


@pytest.fixture(scope='session')
def write_clip_config():
    """Write a small model's configuration; returns its name."""

    def write(folder, **changes) -> str:
        folder.mkdir(exist_ok=True)
        text = json.dumps(dict(model_cfg=dict(MODEL, **changes)))
        (folder / 'open_clip_config.json').write_text(text)
        return f'local-dir:{folder}'

    return write


@pytest.fixture(scope='session')
def small_model(tmp_path_factory, write_clip_config) -> str:
    """Name of a small model; its folder has weights, too."""
    folder = tmp_path_factory.mktemp('small')
    name = write_clip_config(folder)
    import open_clip

    torch.manual_seed(0)
    clip = open_clip.create_model(name)
    save_file(clip.state_dict(), folder / 'open_clip_model.safetensors')
    return name


@pytest.fixture(scope='session')
def small_state(small_model):
    return load_clip(small_model, None).state_dict()


@pytest.fixture(scope='session')
def write_weights(write_archive):
    """Write a state dict in one of the kinds of files."""

    def write(state, path, kind):
        if kind == 'safetensors':
            save_file(state, path)
        elif kind == 'torchscript':
            numbers = dict(input_resolution=8, context_length=6)
            write_archive(path, state, **numbers, vocab_size=20)
        else:
            torch.save(state, path)
        return path

    return write
