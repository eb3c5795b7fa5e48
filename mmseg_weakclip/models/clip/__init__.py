"""CLIP, frozen: image towers, dense paths, text banks, weights."""
