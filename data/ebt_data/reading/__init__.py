"""Opens episodes, which may come from anywhere, and the labels beside them. Nothing here writes a recording."""
