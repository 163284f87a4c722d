"""The doctor's findings as text for people, and as JSON and an exit status for programs."""

import json
from collections.abc import Callable, Sequence

from runtime.logging import URL_PASSWORD
from web.ops.doctor.examination import Examined
from web.ops.doctor.finding import Finding, Level

WELL, ILL, WARNED = 0, 1, 3  # 2 is argparse's, for a wrong command line
CHECK_WIDTH = 12
LEVEL_WIDTH = 8


def exit_status(examined: Sequence[Examined]) -> int:
    """Return WELL, WARNED if there are only warnings, or ILL."""
    levels = {level for each in examined for level in each.levels}
    if levels & {Level.PROBLEM, Level.UNKNOWN}:
        return ILL
    return WARNED if Level.WARNING in levels else WELL


def lines(examined: Examined, paint: Callable[[Level, str], str]) -> list[str]:
    """Return a line for each finding of a check, and below it the way out; ``paint`` colours."""
    return [line for found in examined.findings for line in _lines(examined.check, found, paint)]


def summary(examined: Sequence[Examined]) -> str:
    """Count problems, warnings and checks that could not be made, in one line."""
    levels = [finding.level for each in examined for finding in each.findings]
    counts = [
        f"{count} {level}{'' if count == 1 else 's'}"
        for level in (Level.PROBLEM, Level.WARNING)
        if (count := levels.count(level))
    ]
    if unseen := levels.count(Level.UNKNOWN):
        counts.append(f"{unseen} not looked at")
    return ", ".join(counts) or "all is well"


def as_json(examined: Sequence[Examined]) -> str:
    """Return all findings as one JSON document: ``status`` and ``findings``."""
    findings = [
        {
            "check": each.check,
            "level": found.level,
            "found": _line(found.found),
            "way_out": _line(found.way_out),
        }
        for each in examined
        for found in each.findings
    ]
    status = {WELL: "ok", WARNED: "warning", ILL: "problem"}[exit_status(examined)]
    return json.dumps({"status": status, "findings": findings}, indent=2, ensure_ascii=False)


def _lines(check: str, finding: Finding, paint: Callable[[Level, str], str]) -> list[str]:
    level = paint(finding.level, f"{finding.level:<{LEVEL_WIDTH}}")
    shown = [f"{level} {check:<{CHECK_WIDTH}} {_line(finding.found)}"]
    if finding.way_out:
        shown.append(f"{'':<{LEVEL_WIDTH + CHECK_WIDTH + 1}} → {_line(finding.way_out)}")
    return shown


def _line(text: str) -> str:
    """Put a server's words on one line, and hide the passwords in them."""
    return URL_PASSWORD.sub(r"\1:…", " ".join(text.split()))
