"""The folder of a run: its files, and functions to read and write it."""
