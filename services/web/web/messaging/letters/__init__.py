"""Dead letters: what they were, why they died, and their repair by operators."""
