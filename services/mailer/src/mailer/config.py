"""The mailer's settings, all from the environment."""

import re
import sys
from dataclasses import dataclass, field, replace
from email.headerregistry import Address
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from contracts.errors import SettingsError
from contracts.settings import PRODUCTION, Environment
from contracts.worker import WorkerSettings
from mailer.addresses import parse_address, parse_mailbox

EX_CONFIG = 78  # sysexits.h: something is wrong with the settings
THREADS = 8
LEDGER_AT_LEAST = 7  # days: longer than any request for a mail waits or is tried again


class Security(StrEnum):
    """How the connection to the SMTP server is protected; the value is the URL's scheme."""

    NONE = "smtp"
    STARTTLS = "smtp+starttls"
    TLS = "smtps"


THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
PORTS = {Security.NONE: 25, Security.STARTTLS: 587, Security.TLS: 465}


HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*|\[[0-9A-Za-z.:]+\]")


def parse_ehlo_name(text: str) -> str:
    """Check a host's name, or an address in brackets (RFC 5321, 4.1.3). Raises ValueError."""
    if len(text) > 255 or not HOST.fullmatch(text):
        raise ValueError("it must be a host's name")
    return text


def _days(text: str) -> int:
    days = int(text)
    if 0 < days < LEDGER_AT_LEAST or days < 0:
        raise ValueError(f"it must be at least {LEDGER_AT_LEAST} days, or 0 for ever")
    return days


@dataclass(frozen=True)
class SmtpServer:
    """The server that takes the mails, from ``SMTP_URL``; no user means no sign-in.

    ``ehlo_name`` is how the mailer introduces itself there.
    """

    host: str
    port: int
    security: Security = Security.NONE
    user: str = ""
    password: str = field(default="", repr=False)
    ehlo_name: str = "localhost"

    @classmethod
    def parse(cls, url: str) -> "SmtpServer":
        """Take a URL apart. Raises ValueError, which repeats no part of it."""
        parts = urlsplit(url)
        if parts.scheme not in list(Security) or not parts.hostname:
            raise ValueError(f"it must be a URL that starts with {':// or '.join(Security)}://")
        try:
            port = parts.port
        except ValueError:
            message = "its port must be a number, and / ? # in its password percent-encoded"
            raise ValueError(message) from None
        security = Security(parts.scheme)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not (user + password).isascii():  # smtplib's AUTH takes no more
            raise ValueError("its user and password must be ASCII")
        return cls(parts.hostname, port or PORTS[security], security, user, password)


def parse_in_production(url: str) -> SmtpServer:
    """Take a URL apart, and refuse to send a password in clear to another machine.

    Raises ValueError.
    """
    server = SmtpServer.parse(url)
    in_clear = server.security is Security.NONE and server.host not in THIS_MACHINE
    if server.password and in_clear:
        raise ValueError("smtp:// would send its password in clear: smtp+starttls:// or smtps://")
    return server


@dataclass(frozen=True)
class MailerSettings:
    """All that the mailer reads from its environment. Times are seconds."""

    worker: WorkerSettings
    ledger_url: str = field(repr=False)
    ledger_wait: float
    ledger_days: int
    smtp: SmtpServer
    smtp_timeout: float
    mail_from: Address

    @classmethod
    def read(cls, env: Environment) -> "MailerSettings":
        """Read and check them. Raises SettingsError, naming each that is missing or wrong."""
        mail_from = env.parsed(
            "MAIL_FROM",
            parse_mailbox,
            example="Warren <noreply@example.org>",
            placeholder=parse_address("noreply@example.org"),
        )
        smtp = env.parsed(
            "SMTP_URL",
            parse_in_production if env.stage == PRODUCTION else SmtpServer.parse,
            example="smtp+starttls://user:password@mail.example.org:587",
            placeholder=SmtpServer("", 0),
        )
        # Servers refuse a client whose name is none, such as [127.0.0.1].
        ehlo_name = env.parsed(
            "SMTP_EHLO_NAME",
            parse_ehlo_name,
            example="mail.example.org",
            placeholder=mail_from.domain,
            default=mail_from.domain,
        )
        settings = cls(
            worker=WorkerSettings.read(env, concurrency=THREADS),
            ledger_url=env.url(
                "LEDGER_URL",
                schemes=("postgresql", "postgres"),
                example="postgresql://mailer:password@localhost:5432/mailer",
            ),
            ledger_wait=env.seconds("LEDGER_WAIT", default=60.0),  # both may be started together
            ledger_days=env.parsed("KEEP_LEDGER", _days, example="90", placeholder=0, default=90),
            smtp=replace(smtp, ehlo_name=ehlo_name),
            smtp_timeout=env.seconds("SMTP_TIMEOUT", default=30.0),
            mail_from=mail_from,
        )
        env.check()
        return settings


def read_or_exit() -> MailerSettings:
    """Read the process's settings; with wrong ones end it, for it could only fail later."""
    try:
        return MailerSettings.read(Environment())
    except SettingsError as error:
        print(f"mailer: {error}", file=sys.stderr)
        sys.exit(EX_CONFIG)
