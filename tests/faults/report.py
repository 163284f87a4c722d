"""The table, on the screen and as JSON."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.verdict import Verdict

COLUMNS: tuple[tuple[str, int, Callable[[Verdict], str]], ...] = (
    ("s", 4, lambda v: f"{v.seconds:.0f}"),
    ("accepted", 8, lambda v: str(v.accepted)),
    ("final", 5, lambda v: str(v.final)),
    ("lost", 4, lambda v: str(v.lost)),
    ("wrong", 5, lambda v: str(v.wrong)),
    ("twice", 5, lambda v: str(v.final_twice)),
    ("mails", 5, lambda v: str(v.registered)),
    ("missing", 7, lambda v: str(v.mails_missing)),
    ("twice", 5, lambda v: str(v.mails_twice)),
    ("uncertain", 9, lambda v: str(v.uncertain)),
    ("5xx", 3, lambda v: str(v.answers_5xx)),
    ("503", 4, lambda v: str(v.answers_503)),
    ("p99 ms", 11, lambda v: f"{v.p99_before:.0f} → {v.p99_during:.0f}"),
    ("recovery", 8, lambda v: f"{v.recovery:.1f} s"),
)
NAME = 58  # characters


def head() -> str:
    """The names of the columns."""
    return " ".join([f"{'fault':<{NAME}}", *(f"{name:>{width}}" for name, width, _ in COLUMNS)])


def line(verdict: Verdict) -> str:
    """One row, and below it what did not hold."""
    cells = (f"{show(verdict):>{width}}" for _, width, show in COLUMNS)
    row = " ".join([f"{verdict.fault:<{NAME}}", *cells, "" if verdict.holds else " FAILED"])
    return "\n".join([row, *(f"    {problem}" for problem in verdict.problems)])


def write(path: Path, verdicts: Sequence[Verdict], **about: object) -> None:
    """Write all of it as JSON, with what was known about the run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [verdict.as_dict() for verdict in verdicts]
    path.write_text(json.dumps({**about, "faults": found}, indent=2) + "\n")
