"""Defines a step, and records, reads and exports episodes of steps; imports no other package of this project."""
