"""Dynamixel X-series motors: port, packets, bus, registers and one arm in radians. Knows no bench and no emulator."""
