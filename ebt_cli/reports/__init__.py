"""What `ebt inspect` reports of an episode, a folder, rollouts or a run: measures, verdicts, plots.

Paints no live screen.
"""
