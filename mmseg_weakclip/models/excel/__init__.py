"""ExCEL and WeCLIP: text enrichment, online pseudo labels, decoder."""
