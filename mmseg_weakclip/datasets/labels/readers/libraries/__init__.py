"""Readers of the label files of data set libraries."""
