"""Areas and IoU, metrics, and sweeps of thresholds."""
