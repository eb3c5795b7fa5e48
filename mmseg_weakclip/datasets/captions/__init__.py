"""Captioned images as files or shards, and their superpixels."""
