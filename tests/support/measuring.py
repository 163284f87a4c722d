"""Coverage of the programs that tests start."""

import os


def coverage_settings() -> dict[str, str]:
    """Variables by which such a program counts its lines, too, under ``make coverage``."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
