"""The mind: the energy transformer, how it is trained, how it acts, and the one closed loop."""

import os

# Read by OpenMP when torch is first imported. By default its threads spin while they wait for each other: with one
# other busy process on two cores that made an update five times slower, sleeping instead costs nothing measurable.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
