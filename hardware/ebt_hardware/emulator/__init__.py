"""Emulated Dynamixel motors on a pty or an in-memory port, for the twin and for tests.

Imports the motors' packets and registers only.
"""
