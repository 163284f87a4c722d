"""``manage.py periodic``: list periodic tasks, run one now, pause and resume them."""

import argparse
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from web.postgresql import clock
from web.tasks import periodic
from web.tasks.models import PeriodicTask, Task
from web.tasks.periodic import Entry

EXAMPLES = """examples:
  manage.py periodic list
  manage.py periodic run web.prune
  manage.py periodic pause shop.tasks.tidy
  manage.py periodic resume shop.tasks.tidy

A due time that passes while a task is paused is not caught up.
"""
ACTIONS: dict[str, tuple[str, Callable[[str], object]]] = {
    "run": ("run it once, now, independently of its schedule", periodic.run_now),
    "pause": ("skip its due times from now on", periodic.pause),
    "resume": ("let its due times count again", periodic.resume),
}


class Command(BaseCommand):
    """For operators; the admin has the same."""

    requires_system_checks: list[str] = []  # they would load all that web needs
    help = "List periodic tasks, run one now, pause or resume it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Describe the command line."""
        parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="list them all, with their next times")
        for name, (text, _) in ACTIONS.items():
            actions.add_parser(name, help=text).add_argument("name", help="as `list` shows it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what is asked for."""
        if options["action"] == "list":
            self._list()
            return
        try:
            told = ACTIONS[options["action"]][1](options["name"])
        except KeyError:
            known = "\n  ".join(periodic.entries()) or "none"
            message = f"there is no periodic task {options['name']!r}. There is:\n  {known}"
            raise CommandError(message) from None
        self.stdout.write(f"{options['name']}: {told or options['action'] + 'd'}")

    def _list(self) -> None:
        rows = {row.name: row for row in PeriodicTask.objects.all()}
        for name, entry in sorted(periodic.entries().items()):
            self.stdout.write(f"{name}  {_described(entry, rows.get(name))}")
        for name in sorted(rows.keys() - periodic.entries()):
            self.stdout.write(f"{name}  is not declared any more")


def _described(entry: Entry, row: PeriodicTask | None) -> str:
    cron = entry.cron
    following = f"next {cron.next(clock.now()):%Y-%m-%d %H:%M} UTC"
    if row and row.paused:
        following = "paused"
    last = Task.objects.filter(pk=row.last_task).first() if row and row.last_task else None
    before = f"last {last.created_at:%Y-%m-%d %H:%M} {last.state}" if last else "not yet run"
    return f"[{cron.expression} {cron.zone}]  {following}, {before}"
