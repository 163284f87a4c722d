"""``manage.py dead_letters``: see and repair what could not be handled."""

import argparse
import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from web.messaging import dead_letters
from web.messaging.models import DeadLetter
from web.messaging.redaction import shown_message


class Command(BaseCommand):
    """List, show, replay and discard dead letters."""

    help = "List, show, replay and discard messages that could not be handled."

    def add_arguments(self, parser: CommandParser) -> None:
        """Describe the command line."""
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="list dead letters, newest first")
        listing.add_argument("--reason", help="only those that died of this")
        listing.add_argument("--state", default="waiting", choices=DeadLetter.State.values)
        listing.add_argument("--limit", type=int, default=50)
        show = actions.add_parser("show", help="show one, without what is secret")
        show.add_argument("id", type=int)
        for name, text in (("replay", "send again"), ("discard", "give up")):
            action = actions.add_parser(name, help=f"{text} one, several, or all of a reason")
            _add_selection(action)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one action."""
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        letters = DeadLetter.objects.filter(state=options["state"])
        if options["reason"]:
            letters = letters.filter(reason=options["reason"])
        for letter in letters[: options["limit"]]:
            self.stdout.write(
                f"{letter.pk:>6}  {letter.created_at:%Y-%m-%d %H:%M:%S}  {letter.reason:<14} "
                f"{letter.task or letter.routing_key or '-':<20}  {letter.detail[:80]}"
            )
        self.stdout.write(f"{letters.count()} {options['state']}")

    def _show(self, options: dict[str, Any]) -> None:
        letter = DeadLetter.objects.filter(pk=options["id"]).first()
        if letter is None:
            raise CommandError(f"there is no dead letter {options['id']}")
        self.stdout.write(shown_message(letter))

    def _replay(self, options: dict[str, Any]) -> None:
        self._each(options, dead_letters.replay, "replayed")

    def _discard(self, options: dict[str, Any]) -> None:
        self._each(options, dead_letters.discard, "discarded")

    def _each(self, options: dict[str, Any], act: Any, done: str) -> None:
        refused = 0
        ids = list(_selected(options))
        for letter_id in ids:
            try:
                act(letter_id, f"{getpass.getuser()} on the command line")
            except dead_letters.NotReplayableError as error:
                refused += 1
                self.stderr.write(f"{letter_id}: {error}")
        self.stdout.write(f"{len(ids) - refused} {done}")
        if refused:
            raise CommandError(f"{refused} could not be {done}")


def _add_selection(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", type=int, default=[], metavar="ID")
    which.add_argument("--reason", help="all that wait and died of this")


def _selected(options: dict[str, Any]) -> list[int] | QuerySet[DeadLetter, int]:
    if options["ids"]:
        return list(options["ids"])
    waiting = DeadLetter.objects.filter(state=DeadLetter.State.WAITING, reason=options["reason"])
    return waiting.values_list("pk", flat=True)
