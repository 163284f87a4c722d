"""Running several small tasks of one message: see ``contracts.bundles``."""
