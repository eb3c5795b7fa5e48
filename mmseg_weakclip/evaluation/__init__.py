"""Areas, IoU, metrics and sweeps of thresholds."""
