"""A finding of a check, in words for an operator."""

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
    """One line of the doctor's report: the finding, and the way out."""

    level: Level
    found: str
    way_out: str = ""


def well(found: str) -> Finding:
    """Make a finding without a problem."""
    return Finding(Level.OK, found)


def warn(found: str, way_out: str) -> Finding:
    """Make a warning: work goes on, but an operator should look."""
    return Finding(Level.WARNING, found, way_out)


def problem(found: str, way_out: str) -> Finding:
    """Make a problem: some work stands still or goes wrong."""
    return Finding(Level.PROBLEM, found, way_out)


def unknown(found: str, way_out: str = "") -> Finding:
    """Make a finding about something that could not be examined."""
    return Finding(Level.UNKNOWN, found, way_out)


def start(process: str) -> str:
    """Return the way out for a missing process."""
    return f"start it: `docker compose up -d {process}`, or `make up`; its log says why it ended"
