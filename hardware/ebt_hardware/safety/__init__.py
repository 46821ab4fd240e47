"""Limits on actions and stop conditions: arithmetic without devices."""
