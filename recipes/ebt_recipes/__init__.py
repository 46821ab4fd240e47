"""The mind: the energy transformer, how it is trained, how it acts, and the one closed loop."""
