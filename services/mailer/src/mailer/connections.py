"""Connections to the SMTP server, kept open between mails."""

import smtplib
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property

from contracts.errors import TransientError
from mailer.config import Security, SmtpServer
from mailer.smtp import reason


class Connections:
    """As many connections as threads send at the same time, each used again by the next mail.

    Greeting, TLS and sign-in take longer than most mails. A connection that waits for longer
    than ``keep`` seconds is closed: servers allow only so many.
    """

    def __init__(self, server: SmtpServer, *, timeout: float, keep: float = 60.0) -> None:
        """Open nothing yet.

        Args:
            server: where to connect.
            timeout: seconds to wait for any one answer of the server.
            keep: seconds for which an unused connection stays open.
        """
        self._server = server
        self._timeout = timeout
        self._keep = keep
        self._waiting: list[tuple[float, smtplib.SMTP]] = []  # the one used last comes last
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._housekeeper: threading.Thread | None = None

    @contextmanager
    def borrow(self) -> Iterator[smtplib.SMTP]:
        """Lend a connection that the server just answered on. Raises TransientError."""
        session = self._reuse() or self._open()
        try:
            yield session
        finally:
            self._give_back(session)

    def problem(self) -> str:
        """Connect, sign in and take leave; returns what went wrong, or nothing."""
        try:
            _quit(self._open())
        except TransientError as error:
            return str(error)
        return ""

    def close(self) -> None:
        """Take leave of the server on every connection that waits; one in use follows it."""
        self._closed.set()
        self._close_waiting_since(float("inf"))

    def _reuse(self) -> smtplib.SMTP | None:
        while session := self._pop():
            # Nothing of the next mail is sent yet, so that a stale connection does no harm.
            with suppress(smtplib.SMTPException, OSError):
                if session.rset()[0] == 250:
                    return session
            session.close()
        return None

    def _pop(self) -> smtplib.SMTP | None:
        with self._lock:
            return self._waiting.pop()[1] if self._waiting else None

    def _give_back(self, session: smtplib.SMTP) -> None:
        if session.sock is None:
            return
        if self._closed.is_set():
            _quit(session)
            return
        with self._lock:
            self._waiting.append((time.monotonic(), session))
            if self._housekeeper is None:
                self._housekeeper = threading.Thread(target=self._keep_house, daemon=True)
                self._housekeeper.start()

    def _keep_house(self) -> None:
        while not self._closed.wait(self._keep / 2):
            self._close_waiting_since(time.monotonic() - self._keep)

    def _close_waiting_since(self, limit: float) -> None:
        with self._lock:
            old = [session for since, session in self._waiting if since <= limit]
            self._waiting = [entry for entry in self._waiting if entry[0] > limit]
        for session in old:
            _quit(session)

    def _open(self) -> smtplib.SMTP:
        try:
            session = self._connect()
        except (smtplib.SMTPException, OSError) as error:
            raise TransientError(f"no connection to the SMTP server: {reason(error)}") from error
        try:
            self._introduce(session)
        except (smtplib.SMTPException, OSError) as error:
            session.close()
            raise TransientError(f"no session with the SMTP server: {reason(error)}") from error
        return session

    def _connect(self) -> smtplib.SMTP:
        address = (self._server.host, self._server.port)
        if self._server.security is Security.TLS:
            return smtplib.SMTP_SSL(*address, timeout=self._timeout, context=self._tls)
        return smtplib.SMTP(*address, timeout=self._timeout)

    def _introduce(self, session: smtplib.SMTP) -> None:
        if self._server.security is Security.STARTTLS:
            session.starttls(context=self._tls)  # raises if the server does not offer it
        session.ehlo_or_helo_if_needed()
        if self._server.user:
            session.login(self._server.user, self._server.password)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


def _quit(session: smtplib.SMTP) -> None:
    with suppress(smtplib.SMTPException, OSError):
        session.quit()
    session.close()
