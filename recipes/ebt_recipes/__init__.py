"""Policies and training: the energy transformer, its training, the policies that use it, and the closed loop."""

import os

# Read by OpenMP when torch is first imported. By default its threads spin while they wait for each other: with one
# other busy process on two cores this made an update five times slower. Sleeping instead has no measurable cost.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
