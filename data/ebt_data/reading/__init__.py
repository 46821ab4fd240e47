"""Reads episodes, which may be untrusted files, and their labels. Nothing here writes to a recording."""
