class LocalError(Exception):
    """Something that the person at the terminal can mend; its text says what and how."""
