"""The SMTP servers, as ``SMTP_URL`` names them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from runtime.environment import port_of


class Security(StrEnum):
    """How the connection to the SMTP server is protected; the value is the URL's scheme."""

    NONE = "smtp"
    STARTTLS = "smtp+starttls"
    TLS = "smtps"


THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
PORTS = {Security.NONE: 25, Security.STARTTLS: 587, Security.TLS: 465}


@dataclass(frozen=True)
class SmtpServer:
    """A server that takes mails, from ``SMTP_URL``; no user means no sign-in.

    ``ehlo_name`` is the name with which the mailer introduces itself there.
    """

    host: str
    port: int
    security: Security = Security.NONE
    user: str = ""
    password: str = field(default="", repr=False)
    ehlo_name: str = "localhost"

    @classmethod
    def parse(cls, url: str) -> "SmtpServer":
        """Take a URL apart. Raises ValueError for a wrong URL, and repeats no part of it."""
        parts = urlsplit(url)
        if parts.scheme not in list(Security) or not parts.hostname:
            raise ValueError(f"it must be a URL that starts with {':// or '.join(Security)}://")
        if "," in parts.hostname:
            raise ValueError("several servers are separated by spaces")
        port = port_of(url)
        security = Security(parts.scheme)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not (user + password).isascii():  # smtplib can send nothing else
            raise ValueError("its user and password must be ASCII")
        return cls(parts.hostname, port or PORTS[security], security, user, password)


def parse_in_production(url: str) -> SmtpServer:
    """Take a URL apart.

    Raises ValueError for a wrong URL, or one that sends a password in clear to another machine.
    """
    server = SmtpServer.parse(url)
    in_clear = server.security is Security.NONE and server.host not in THIS_MACHINE
    if server.password and in_clear:
        raise ValueError("smtp:// would send its password in clear: smtp+starttls:// or smtps://")
    return server


def parse_servers(
    text: str, parse: Callable[[str], SmtpServer] = SmtpServer.parse
) -> tuple[SmtpServer, ...]:
    """Take URLs apart, which spaces or line breaks separate.

    Neither is part of a URL (RFC 3986, 2): in a password they are percent-encoded. Raises
    ValueError, which tells the URL's place and repeats no part of it.
    """
    urls = text.split()
    if len(urls) < 2:
        return (parse(text),)
    servers = []
    for place, url in enumerate(urls, 1):
        try:
            servers.append(parse(url))
        except ValueError as error:
            raise ValueError(
                f"of its {len(urls)} URLs, number {place} is not right: {error} (spaces separate "
                "URLs, and are %20 in a password)"
            ) from None
    return tuple(servers)
