"""Deliver mails as a worker process does, and look into its ledger."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from contracts.events import MailReceipt
from contracts.tasks import SendEmail
from mailer.addresses import parse_mailbox
from mailer.composing import OutgoingMail
from mailer.connections import Connections
from mailer.delivery import deliver
from mailer.ledger import Ledger
from mailer.servers import Servers
from mailer.smtp import converse
from mailer.smtp_url import SmtpServer
from mailer.throttle import Rates, Throttle

UNLIMITED = Rates()
MAIL_FROM = "Warren <noreply@example.org>"
MAIL = SendEmail(
    email_id="e-1",
    template="verify_email",
    recipient="bob@example.com",
    context={
        "verification_url": "https://warren.example.org/verify?key=MQ:planted",
        "verification_key": "MQ:planted",
        "expires_in_days": "3",
    },
)
SENT = MailReceipt(message_id="<e-1@example.org>", answer="250 2.0.0 Ok: queued as 1")
RESENT = MailReceipt(
    message_id="<e-1@example.org>", answer="250 2.0.0 Ok: queued as 2", uncertain=True
)
HELLO = OutgoingMail(
    message_id="<e-1@example.org>",
    sender="noreply@example.org",
    recipient="bob@example.com",
    content=b"Message-ID: <e-1@example.org>\r\n\r\nhello\r\n",
    smtputf8=False,
)


def another_mail(email_id: str) -> SendEmail:
    return SendEmail(email_id=email_id, template="welcome", recipient="b@example.com", context={})


def message_ids(*ids: str) -> list[str]:
    return [f"<{email_id}@example.org>" for email_id in ids]


def say_hello(connections: Connections | Servers, mail: OutgoingMail = HELLO) -> str:
    """Send a mail that was composed before; returns the server's answer."""
    with connections.borrow() as session:
        return converse(session, mail)


class Post:
    """What one worker process has: a ledger and connections of its own."""

    def __init__(
        self,
        ledger_url: str,
        *ports: int,
        timeout: float = 20,
        rates: Rates = UNLIMITED,
        **options: Any,
    ) -> None:
        self.ledger = Ledger(ledger_url, threads=4, **options)
        self.throttle = Throttle(rates)
        self.servers = Servers([SmtpServer("127.0.0.1", port) for port in ports], timeout=timeout)

    def deliver(self, mail: SendEmail = MAIL, accepted_at: datetime | None = None) -> MailReceipt:
        return deliver(
            mail,
            accepted_at=accepted_at,
            mail_from=parse_mailbox(MAIL_FROM),
            ledger=self.ledger,
            servers=self.servers,
            throttle=self.throttle,
        )

    def close(self) -> None:
        self.servers.close()
        self.ledger.close()


@dataclass(frozen=True)
class Look:
    """Questions to a ledger's database."""

    url: str

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query).fetchall()

    def rows(self) -> list[tuple[Any, ...]]:
        return self.ask("SELECT email_id, state, sends FROM mail_ledger")

    def waits_for_a_lock(self) -> bool:
        return bool(self.ask("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
