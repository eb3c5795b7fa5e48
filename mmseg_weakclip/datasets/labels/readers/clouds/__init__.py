"""Readers of the label files of cloud services."""
