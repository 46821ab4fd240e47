"""A task in a user's file."""

WHOLE = """
from ebt_hardware.twin.tasks.pick_place import PickPlace

class Mine(PickPlace):
    longest_s = 7.0
"""
