"""How long a plan, a training update and a bus transfer take."""
