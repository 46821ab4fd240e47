"""Training: batches, updates, checkpoints, curves. Nothing here controls a bench."""
