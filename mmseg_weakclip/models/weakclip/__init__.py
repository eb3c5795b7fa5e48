"""WeakCLIP: pyramid adapter, co-attention, text-guided decoder."""
