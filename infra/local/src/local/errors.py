class LocalError(Exception):
    """An error that the person at the terminal can mend. Its text says how."""
