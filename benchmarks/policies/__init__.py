"""How often each policy succeeds, and what it samples."""
