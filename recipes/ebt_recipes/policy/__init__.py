"""A trained run as an agent: plans are sampled outside the control loop and executed by the clock."""
