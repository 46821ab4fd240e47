"""The tasks that policies are compared on: three small numpy simulations, and the digital twin."""
