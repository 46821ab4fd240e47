"""How well scores predict failures, and what retrying is worth."""
