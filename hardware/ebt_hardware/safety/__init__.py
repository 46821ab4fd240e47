"""What may be sent to an arm and when it has to stop: arithmetic without devices."""
