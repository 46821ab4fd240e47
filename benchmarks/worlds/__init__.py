"""The tasks that policies are compared on: three small numpy worlds, and the twin."""
