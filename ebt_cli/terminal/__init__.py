"""stdout, stderr, signals and completion: what every verb needs of a terminal. Knows no verb and no screen."""
