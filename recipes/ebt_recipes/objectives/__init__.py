"""Losses and samplers, one file per objective, for the same networks. Independent of the training loop."""
