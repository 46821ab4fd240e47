"""Writes episodes through a process of its own, and repairs what a kill left behind.

Nothing here decides what is recorded.
"""
