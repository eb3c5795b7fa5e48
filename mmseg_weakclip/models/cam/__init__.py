"""Heads that turn features and image labels into activation maps."""
