"""Training: batches, updates, checkpoints, curves. Nothing here acts on a bench."""
