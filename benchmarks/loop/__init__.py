"""Timing of a live session."""
