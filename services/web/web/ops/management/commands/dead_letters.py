"""``manage.py dead_letters``: list, show, replay and discard dead letters."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from rest_framework.utils.encoders import JSONEncoder

from contracts.mails import Mail
from web.mail import sending
from web.messaging.letters import repair
from web.messaging.letters.redaction import shown_body
from web.messaging.letters.serializers import (
    DeadLetterDetailSerializer,
    DeadLetterSerializer,
    ReportSerializer,
)
from web.messaging.models import DeadLetter
from web.operators import USAGE_ERROR, confirm, operator

ACTIONS = {
    "replay": ("send again", repair.replay, "replayed"),
    "discard": ("give up", repair.discard, "discarded"),
}
EXAMPLES = """\
examples:
  dead_letters list --reason malformed
  dead_letters show 17
  dead_letters replay 17 18
  dead_letters replay --reason delivery_limit --task compute.run
  dead_letters discard --all --yes
  dead_letters practise

exit status: 0 done; 1 some could not be replayed or discarded, or there is no such letter;
2 wrong usage"""


class Practice(Mail, frozen=True, kw_only=True):
    """A mail that the mailer refuses, because it has no such template."""

    template = "practise"


class Command(BaseCommand):
    """The command, with one subcommand for each action."""

    requires_system_checks: list[str] = []  # they would load all that web needs
    help = "List, show, replay and discard messages that could not be handled."

    def add_arguments(self, parser: CommandParser) -> None:
        """Describe the command line."""
        parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="list dead letters, newest first")
        states = [*DeadLetter.State.values, "all"]
        listing.add_argument("--state", default="waiting", choices=states, help="default: waiting")
        listing.add_argument("--queue", help="only those from this queue")
        listing.add_argument("--limit", type=int, default=50, help="at most so many; default: 50")
        show = actions.add_parser("show", help="show one, with secrets left out")
        show.add_argument("id", type=int)
        for name, (text, *_) in ACTIONS.items():
            action = actions.add_parser(name, help=f"{text} one, several, or all that wait")
            action.add_argument("ids", nargs="*", type=int, metavar="ID")
            action.add_argument("--all", action="store_true", help="all that wait")
            action.add_argument("--yes", action="store_true", help="do not ask")
        practise = "make a harmless one, from a mail without a template, which is never sent"
        for action in actions.choices.values():
            action.add_argument("--json", action="store_true", help="for programs")
        for name in ("list", *ACTIONS):
            actions.choices[name].add_argument("--reason", help="only those with this reason")
            actions.choices[name].add_argument("--task", help="only those of this task")
        actions.add_parser("practise", help=practise)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one action."""
        if options["action"] in ACTIONS:
            self._repair(options)
        else:
            getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        chosen = {name: options[name] for name in ("reason", "task", "queue") if options[name]}
        if options["state"] != "all":
            chosen["state"] = options["state"]
        letters = DeadLetter.objects.filter(**chosen).defer("headers", "properties", "body")
        page = letters[: options["limit"]]
        if options["json"]:
            self._write_json(DeadLetterSerializer(page, many=True).data)
            return
        for letter in page:
            self.stdout.write(
                f"{letter.pk:>6}  {letter.created_at:%Y-%m-%d %H:%M:%S}  {letter.reason:<14} "
                f"{letter.task or letter.routing_key or '-':<20}  {letter.detail[:200]}"
            )
        self.stdout.write(f"{letters.count()} {options['state']}")

    def _show(self, options: dict[str, Any]) -> None:
        letter = DeadLetter.objects.filter(pk=options["id"]).first()
        if letter is None:
            raise CommandError(f"there is no dead letter {options['id']}")
        fields = DeadLetterDetailSerializer(letter).data
        if options["json"]:
            self._write_json(fields)
            return
        for name, value in (fields | {"arguments": shown_body(letter)}).items():
            plain = value if isinstance(value, str) else _encode(value)
            self.stdout.write(f"{name.replace('_', ' ') + ':':<13} {plain}")

    def _practise(self, options: dict[str, Any]) -> None:
        with transaction.atomic():
            mail = sending.queue(Practice(), "practise@example.org")
        self.stdout.write(
            f"queued mail {mail.pk}, which the mailer refuses: `dead_letters list` shows its "
            "letter in a moment. A replay brings it back as another letter; discard it in the end."
        )

    def _repair(self, options: dict[str, Any]) -> None:
        _, act, done = ACTIONS[options["action"]]
        ids = self._selected(options)
        report = repair.sweep(act, ids, operator(), tell=self._tell)
        if options["json"]:
            self._write_json(ReportSerializer(report).data)
        else:
            for refusal in report.refusals:
                self.stderr.write(f"{refusal.id}: {refusal.detail}")
            self.stdout.write(f"{report.done} {done}")
        if report.refused:
            raise CommandError(f"{report.refused} could not be {done}")

    def _selected(self, options: dict[str, Any]) -> list[int]:
        by_filter = options["all"] or options["reason"] or options["task"]
        if bool(options["ids"]) == bool(by_filter):
            usage = "give either ids, or --all, --reason or --task"
            raise CommandError(usage, returncode=USAGE_ERROR)
        if options["ids"]:
            return list(options["ids"])
        ids = repair.waiting(reason=options["reason"], task=options["task"])
        if not options["yes"]:
            confirm(f"{options['action']} {len(ids)} dead letters?")
        return ids

    def _tell(self, report: repair.Report) -> None:
        if report.remaining:
            self.stderr.write(f"{report.done} done, {report.remaining} remain")

    def _write_json(self, value: Any) -> None:
        self.stdout.write(_encode(value))


def _encode(value: Any) -> str:
    return json.dumps(value, cls=JSONEncoder, ensure_ascii=False)
