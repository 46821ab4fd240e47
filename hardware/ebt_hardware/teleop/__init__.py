"""How an operator moves the arms: leader arm or keys."""
