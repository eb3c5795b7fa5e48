"""From a folder of tagged images to masks and a trained segmenter."""
