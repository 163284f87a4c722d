"""What a check has found, in words for an operator."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. UNKNOWN counts like a problem: nobody could look."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: what is so, and what to do about it."""

    level: Level
    found: str
    way_out: str = ""


def well(found: str) -> Finding:
    """All is as it should be."""
    return Finding(Level.OK, found)


def warn(found: str, way_out: str) -> Finding:
    """Work goes on, but somebody should have a look."""
    return Finding(Level.WARNING, found, way_out)


def problem(found: str, way_out: str) -> Finding:
    """Some work does not go on, or not as it should."""
    return Finding(Level.PROBLEM, found, way_out)


def unknown(found: str, way_out: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(Level.UNKNOWN, found, way_out)


def start(process: str) -> str:
    """How to start a process that is missing."""
    return f"start it: `docker compose up -d {process}`, or `make up`; its log says why it ended"
