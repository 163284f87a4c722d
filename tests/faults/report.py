"""The table, on the screen and as JSON."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.verdict import Verdict, p99

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
    ("p99 ms", 11, lambda v: f"{p99(v.before):.0f} → {p99(v.during):.0f}"),
    ("recovery", 8, lambda v: f"{v.recovery:.1f} s"),
)
BROKER = "RabbitMQ"
NAME = 58  # characters


def head() -> str:
    """The names of the columns."""
    return " ".join([f"{'fault':<{NAME}}", *(f"{name:>{width}}" for name, width, _ in COLUMNS)])


def line(verdict: Verdict) -> str:
    """One row, and below it what did not hold."""
    cells = (f"{show(verdict):>{width}}" for _, width, show in COLUMNS)
    row = " ".join([f"{verdict.fault:<{NAME}}", *cells, "" if verdict.holds else " FAILED"])
    return "\n".join([row, *(f"    {problem}" for problem in verdict.problems)])


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many faults left everything as promised, and how requests fared without a broker."""
    held = sum(verdict.holds for verdict in verdicts)
    before, during = _before(verdicts), _without_broker(verdicts)
    return (
        f"{held} of {len(verdicts)} faults left everything as promised.\n"
        f"p99 of all requests before a fault: {p99(before):.0f} ms of {len(before)}; "
        f"during those of {BROKER}: {p99(during):.0f} ms of {len(during)}."
    )


def write(path: Path, verdicts: Sequence[Verdict], **about: object) -> None:
    """Write all of it as JSON, with what was known about the run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {
        **about,
        "p99_before": p99(_before(verdicts)),
        "p99_without_broker": p99(_without_broker(verdicts)),
        "faults": [verdict.as_dict() for verdict in verdicts],
    }
    path.write_text(json.dumps(found, indent=2) + "\n")


def _before(verdicts: Sequence[Verdict]) -> list[float]:
    """How long all requests before a fault took, in seconds."""
    return [seconds for verdict in verdicts for seconds in verdict.before]


def _without_broker(verdicts: Sequence[Verdict]) -> list[float]:
    """How long those took that came during a fault of the broker."""
    return [
        seconds for verdict in verdicts if BROKER in verdict.fault for seconds in verdict.during
    ]
