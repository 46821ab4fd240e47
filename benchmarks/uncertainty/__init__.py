"""How well scores predict failures, and how many failures retries rescue."""
