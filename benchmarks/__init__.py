"""Reproducible figures: each script (`python -m benchmarks.<folder>.<script>`) prints a table and writes JSON."""
