"""Figures that anyone can reproduce: each script prints a table and writes JSON; run them as `python -m benchmarks.<folder>.<script>`.."""
