"""The pipeline from tagged images to masks and a trained segmenter."""
