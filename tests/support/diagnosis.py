"""What the doctor says of a running stack."""

import json
from typing import NamedTuple

from .stack import Stack, run


class Diagnosis(NamedTuple):
    """What the doctor has said to a program."""

    status: int
    findings: list[dict[str, str]]

    def of(self, check: str, level: str) -> list[dict[str, str]]:
        """What a check has found of a level."""
        return [
            found for found in self.findings if (found["check"], found["level"]) == (check, level)
        ]

    def problem(self, check: str) -> dict[str, str]:
        """The one problem that a check has found."""
        (found,) = self.of(check, "problem")
        return found


def ask(stack: Stack, *arguments: str, **changes: str) -> tuple[int, str]:
    """Run the doctor as ``make doctor`` does; it shows no traceback, whatever is broken."""
    command = ["python", "services/web/manage.py", "doctor", *arguments]
    ended = run(command, stack.environment | changes)
    assert "Traceback" not in ended.stdout + ended.stderr
    assert not ended.stderr
    return ended.returncode, ended.stdout


def diagnose(stack: Stack, *only: str, **changes: str) -> Diagnosis:
    chosen = [word for name in only for word in ("--only", name)]
    status, output = ask(stack, "--json", *chosen, **changes)
    return Diagnosis(status, json.loads(output)["findings"])
