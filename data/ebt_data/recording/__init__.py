"""Writes episodes in a separate process, and repairs interrupted recordings.

Nothing here decides what is recorded.
"""
