"""Teleoperation with a leader arm or the keyboard."""
