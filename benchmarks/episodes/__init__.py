"""What episode files cost and what survives a kill, a power cut or a full disk."""
