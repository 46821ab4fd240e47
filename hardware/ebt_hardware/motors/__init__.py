"""Dynamixel X-series motors: port, packets, bus, registers and arm in radians; independent of bench and emulator."""
