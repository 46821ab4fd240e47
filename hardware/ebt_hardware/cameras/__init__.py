"""Camera drivers: one file a make. Knows no bench."""
