"""Finding lost tasks, and publishing them again."""
