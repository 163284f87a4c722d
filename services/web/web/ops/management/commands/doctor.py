"""``manage.py doctor``: examine the whole system, name what is wrong and how to mend it."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connections

from web.ops.doctor import report
from web.ops.doctor.checks import CHECKS
from web.ops.doctor.examination import Examined, examine
from web.ops.doctor.finding import Level


class Command(BaseCommand):
    """The command. It works while parts of the system are away, and takes 20 seconds at most."""

    requires_system_checks: list[str] = []  # they would load all that web needs
    help = (
        "Check the whole system, and say in plain words what is wrong and what to do. Exit status: "
        "0 all is well, 1 there are problems, 3 there are only warnings, "
        "78 the settings cannot be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Describe the command line."""
        names = [check.name for check in CHECKS]
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.add_argument(
            "--only", action="append", choices=names, metavar="NAME",
            help=f"this check alone; may be repeated: {', '.join(names)}",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Print each finding at once, or one JSON document, and exit with the status."""
        _connect_without_patience()
        wanted = [check for check in CHECKS if check.name in (options["only"] or {check.name})]
        found: list[Examined] = []
        for examined in examine(wanted):
            found.append(examined)
            if not options["json"]:
                self.stdout.write("\n".join(report.lines(examined, self._paint)))
                self.stdout.flush()
        self.stdout.write(report.as_json(found) if options["json"] else report.summary(found))
        sys.exit(report.exit_status(found))

    def _paint(self, level: Level, text: str) -> str:
        styles = {
            Level.OK: self.style.SUCCESS,
            Level.WARNING: self.style.WARNING,
            Level.PROBLEM: self.style.ERROR,
            Level.UNKNOWN: self.style.ERROR,
        }
        return styles[level](text)


def _connect_without_patience() -> None:
    """Connect to the database without the pool, which hides why a connection fails."""
    database = connections.settings["default"]
    options = {name: value for name, value in database["OPTIONS"].items() if name != "pool"}
    options |= {"connect_timeout": 3, "options": "-c statement_timeout=3s -c lock_timeout=2s"}
    connections.settings["default"] = database | {"OPTIONS": options}
