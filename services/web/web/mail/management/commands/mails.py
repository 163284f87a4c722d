"""``manage.py mails``: list mails with their states, and send failed ones again."""

import argparse
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet
from django.db.models.functions import Now

from web.mail import repeating
from web.mail.models import Email
from web.operators import USAGE_ERROR, confirm, operator

EXAMPLES = """\
examples:
  mails list --state failed --answer 'Relay access denied'
  mails send_again 0b9c1d5e-8f5b-4d2f-9d2a-3f1a5b0c7d11
  mails send_again --answer 'Relay access denied' --hours 6
  mails send_again --all --yes

exit status: 0 done; 1 some were left as they are; 2 wrong usage"""


class Command(BaseCommand):
    """The command, with one subcommand for each action."""

    requires_system_checks: list[str] = []  # they would load all that web needs
    help = "List mails, and send failed ones again while their contents are kept (3 days)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Describe the command line."""
        parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="list mails, newest first")
        listing.add_argument("--state", choices=Email.State.values)
        listing.add_argument("--limit", type=int, default=50, help="at most so many; default: 50")
        again = actions.add_parser("send_again", help="send failed mails again")
        again.add_argument("ids", nargs="*", metavar="ID")
        again.add_argument("--all", action="store_true", help="all that can be sent again")
        again.add_argument("--yes", action="store_true", help="do not ask")
        for action in (listing, again):
            action.add_argument("--template", help="only those of this template")
            action.add_argument("--answer", help="only those whose answer contains this")
            action.add_argument("--hours", type=float, help="only those made within so many hours")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one action."""
        if options["action"] == "list":
            self._list(options)
        else:
            self._send_again(options)

    def _list(self, options: dict[str, Any]) -> None:
        mails = _chosen(Email.objects.defer("context"), options)
        if options["state"]:
            mails = mails.filter(state=options["state"])
        for mail in mails[: options["limit"]]:
            self.stdout.write(
                f"{mail.pk}  {mail.created_at:%Y-%m-%d %H:%M:%S}  {mail.template:<16} "
                f"{mail.state:<8}  {mail.recipient}  {mail.answer[:120]}"
            )
        self.stdout.write(f"{mails.count()} mails")

    def _send_again(self, options: dict[str, Any]) -> None:
        by_filter = any(options[name] for name in ("all", "template", "answer", "hours"))
        if bool(options["ids"]) == by_filter:
            usage = "give either ids, or --all, --template, --answer or --hours"
            raise CommandError(usage, returncode=USAGE_ERROR)
        mails = repeating.repeatable()
        if options["ids"]:
            mails = mails.filter(pk__in=_uuids(options["ids"]))
        else:
            mails = _chosen(mails, options)
        ids = list(mails.order_by("created_at").values_list("pk", flat=True))
        if not options["ids"] and not options["yes"]:
            confirm(f"send {len(ids)} mails again?")
        queued = repeating.send_again(ids, operator())
        self.stdout.write(f"{queued} mails are queued again")
        if left := max(len(options["ids"]), len(ids)) - queued:
            raise CommandError(
                f"{left} were left: not failed, without contents by now, or with contents of which "
                "no mail can be made (`mails list` shows why)"
            )


def _uuids(ids: list[str]) -> list[UUID]:
    try:
        return [UUID(each) for each in ids]
    except ValueError as error:
        raise CommandError("that is none of the mails' ids", returncode=USAGE_ERROR) from error


def _chosen(mails: QuerySet[Email], options: dict[str, Any]) -> QuerySet[Email]:
    if options["template"]:
        mails = mails.filter(template=options["template"])
    if options["answer"]:
        mails = mails.filter(answer__icontains=options["answer"])
    if options["hours"]:
        mails = mails.filter(created_at__gte=Now() - timedelta(hours=options["hours"]))
    return mails
