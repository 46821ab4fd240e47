"""Bench files: where they are found, what they say, and which devices they open."""
