"""What the arm does after an alarm: hold, back off, sample a new plan, resume. No torch."""
