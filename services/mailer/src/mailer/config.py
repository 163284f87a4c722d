"""The mailer's settings, all from the environment."""

import re
import sys
from dataclasses import dataclass, field, replace
from email.headerregistry import Address
from functools import partial

from contracts.errors import SettingsError
from mailer.addresses import parse_address, parse_mailbox
from mailer.signing import Key, Signer, parse_name
from mailer.smtp_url import SmtpServer, parse_in_production, parse_servers
from mailer.throttle import Rates
from runtime.environment import PRODUCTION, Environment
from runtime.rates import Rate
from worker.app import WorkerSettings

EX_CONFIG = 78  # sysexits.h: something is wrong with the settings
THREADS = 8
LEDGER_AT_LEAST = 7  # days: longer than web repeats a request, unless MAIL_RETRY_FOR is raised
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


def read_signer(env: Environment, domain: str) -> Signer | None:
    """Read the settings of DKIM, by default for ``domain``; None if no mail is to be signed.

    Raises SettingsError if only a part of them is given, or anything read before is wrong.
    """
    selector = env.parsed(
        "DKIM_SELECTOR",
        parse_name,
        example="warren",
        placeholder="",
        default="",
        meaning="mails are signed by DKIM; their key is in the DNS at "
        "`<DKIM_SELECTOR>._domainkey.<DKIM_DOMAIN>`",
    )
    unsigned: tuple[Key, ...] = ()
    key = env.parsed(
        "DKIM_KEY",
        lambda text: () if text == "none" else (Key.parse(text),),
        example="-----BEGIN PRIVATE KEY-----…",
        placeholder=unsigned,
        default=unsigned,
        default_means="none",
        meaning="the private key for that, RSA or Ed25519, in PEM",
    )
    domain = env.parsed(
        "DKIM_DOMAIN",
        parse_name,
        example="example.org",
        placeholder=domain,
        default=domain,
        default_means="the domain of `MAIL_FROM`",
        meaning="the domain that signs",
    )
    env.check()
    if bool(selector) != bool(key):
        missing, given = (
            ("DKIM_KEY", "DKIM_SELECTOR") if selector else ("DKIM_SELECTOR", "DKIM_KEY")
        )
        raise SettingsError(f"{missing} is missing, which {given} needs")
    return Signer(selector, domain, *key) if key else None


def read_rates(env: Environment) -> Rates:
    """Read how many mails may be sent in which time."""
    all_mails = _rate(env, "MAIL_RATE", "10/1s", "mails that one mailer sends at most")
    domain = _rate(env, "MAIL_RATE_DOMAIN", "100/1m", "the same to one domain")
    return Rates(*(rate[0] if rate else None for rate in (all_mails, domain)))


def _rate(env: Environment, name: str, example: str, meaning: str) -> tuple[Rate, ...]:
    unlimited: tuple[Rate, ...] = ()
    return env.parsed(
        name,
        lambda text: () if text == "none" else (Rate.parse(text),),
        example=example,
        placeholder=unlimited,
        default=unlimited,
        default_means="none",
        meaning=f"{meaning}, such as `{example}`; others are sent later",
    )


@dataclass(frozen=True)
class MailerSettings:
    """All settings that the mailer reads from its environment. Times are seconds."""

    worker: WorkerSettings
    ledger_url: str = field(repr=False)
    ledger_wait: float
    ledger_days: int
    smtp_servers: tuple[SmtpServer, ...]
    smtp_timeout: float
    mail_from: Address
    rates: Rates
    signer: Signer | None

    @classmethod
    def read(cls, env: Environment) -> "MailerSettings":
        """Read and check them. Raises SettingsError, naming each that is missing or wrong."""
        mail_from = env.parsed(
            "MAIL_FROM",
            parse_mailbox,
            example="Warren <noreply@example.org>",
            placeholder=parse_address("noreply@example.org"),
            meaning="the sender of every mail",
        )
        parse = parse_in_production if env.stage == PRODUCTION else SmtpServer.parse
        nowhere: tuple[SmtpServer, ...] = ()
        servers = env.parsed(
            "SMTP_URL",
            partial(parse_servers, parse=parse),
            example="smtp+starttls://user:password@mail.example.org:587",
            placeholder=nowhere,
            meaning="the mail server (`smtp://`, `smtp+starttls://` or `smtps://`), with user and "
            "password if it wants them. Several are separated by spaces, and asked in this order",
        )
        # Servers refuse a client without a host's name. smtplib would fall back to [127.0.0.1].
        ehlo_name = env.parsed(
            "SMTP_EHLO_NAME",
            parse_ehlo_name,
            example="mail.example.org",
            placeholder=mail_from.domain,
            default=mail_from.domain,
            default_means="the domain of `MAIL_FROM`",
            meaning="the name with which the mailer introduces itself to the server",
        )
        return cls(
            worker=WorkerSettings.read(env, concurrency=THREADS),
            ledger_url=env.url(
                "LEDGER_URL",
                schemes=("postgresql", "postgres"),
                example="postgresql://mailer:password@localhost:5432/mailer",
                meaning="the mailer's own database",
            ),
            ledger_wait=env.seconds(
                "LEDGER_WAIT",
                default=60.0,  # mailer and database may be started together
                meaning="seconds to wait for the ledger's database at the start",
            ),
            ledger_days=env.parsed(
                "KEEP_LEDGER",
                _days,
                example="90",
                placeholder=0,
                default=90,
                meaning="days for which a mail is remembered, so that it is not sent twice; older "
                f"requests are refused. At least {LEDGER_AT_LEAST}, or 0 for ever",
            ),
            smtp_servers=tuple(replace(server, ehlo_name=ehlo_name) for server in servers),
            smtp_timeout=env.seconds(
                "SMTP_TIMEOUT",
                default=30.0,
                meaning="seconds to wait for any one answer of the server; the conversation about "
                "a mail is cut after four times as long",
            ),
            mail_from=mail_from,
            rates=read_rates(env),
            signer=read_signer(env, mail_from.domain),  # last, for it checks all
        )


def read_or_exit() -> MailerSettings:
    """Read the settings. If one is missing or wrong, end the process with EX_CONFIG."""
    try:
        return MailerSettings.read(Environment())
    except SettingsError as error:
        print(f"mailer: {error}", file=sys.stderr)
        sys.exit(EX_CONFIG)
