"""A trained run as an agent: plans are sampled beside the loop and followed by the clock."""
