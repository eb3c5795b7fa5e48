"""From activations to pseudo labels: pure functions on tensors."""
