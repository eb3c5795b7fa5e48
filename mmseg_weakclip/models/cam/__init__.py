"""Heads that turn features and tags into class activation maps."""
