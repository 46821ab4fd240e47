"""Losses and samplers, one file an objective, on the same networks. Knows no training loop."""
