"""Camera drivers, one file per manufacturer; independent of the bench."""
