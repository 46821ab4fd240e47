"""Scores of a plan, the statistics they are measured against, conformal thresholds and the monitor.

Decides nothing about the arm.
"""
