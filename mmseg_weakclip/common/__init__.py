"""Files, images, masks, names and colours; needs neither mmseg nor CLIP."""
