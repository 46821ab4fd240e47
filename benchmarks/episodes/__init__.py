"""The cost of recording episodes, and what remains after a kill, a power cut or a full disk."""
