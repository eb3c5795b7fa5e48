"""Readers of image labels and of lists of image ids."""
