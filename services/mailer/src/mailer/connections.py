"""Connections to one SMTP server, kept open between mails."""

import smtplib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property

from contracts.errors import TransientError
from mailer.session import Session
from mailer.smtp import reason
from mailer.smtp_url import SmtpServer

# A conversation may last so many times as long as one answer. Otherwise, a server that sends a byte
# now and then would hold a thread for good.
CONVERSATION = 4


class Connections:
    """One connection for each thread that is sending, used again for later mails.

    Greeting, TLS and sign-in take longer than most mails. A connection that is unused for ``keep``
    seconds is closed, because servers limit the number of connections.
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
        self._longest = CONVERSATION * timeout
        self._keep = keep
        self._waiting: list[tuple[float, Session]] = []  # since when; the last one was used last
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._housekeeper: threading.Thread | None = None

    @contextmanager
    def borrow(self) -> Iterator[Session]:
        """Lend a connection that works. Raises TransientError if none can be opened."""
        session = self._reuse() or self._open()
        try:
            with session.ends_within(self._longest):
                yield session
        finally:
            self._give_back(session)

    def problem(self) -> str:
        """Connect, sign in and take leave; returns what went wrong, or an empty text."""
        try:
            self._open().take_leave(self._timeout)
        except TransientError as error:
            return str(error)
        return ""

    def close(self) -> None:
        """Close all unused connections; one in use is closed when it is given back."""
        self._closed.set()
        self._close_waiting_since(float("inf"))

    def _reuse(self) -> Session | None:
        session = self._pop()
        # Nothing of the next mail is sent yet, so a stale connection does no harm.
        while session:
            with suppress(smtplib.SMTPException, OSError), session.ends_within(self._timeout):
                if session.rset()[0] == 250:
                    return session
            session.close()
            session = self._pop()
        return None

    def _pop(self) -> Session | None:
        with self._lock:
            return self._waiting.pop()[1] if self._waiting else None

    def _give_back(self, session: Session) -> None:
        if session.sock is None:
            return
        if self._closed.is_set():
            session.take_leave(self._timeout)
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
            session.take_leave(self._timeout)

    def _open(self) -> Session:
        session = Session(self._server, timeout=self._timeout, tls=self._tls)
        with session.opens_within(self._longest):
            _attempt(session, session.greet, "no connection to the SMTP server")
            _attempt(session, session.introduce, "no session with the SMTP server")
        return session

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


def _attempt(session: Session, step: Callable[[], None], otherwise: str) -> None:
    try:
        step()
    except (smtplib.SMTPException, OSError) as error:
        session.close()
        raise TransientError(f"{otherwise}: {reason(error)}") from error
