"""Scores of a plan, the statistics they are measured against, conformal thresholds and the monitor.

Nothing here commands the arm.
"""
