"""ExCEL: text enrichment, learnable calibration, decoder."""
