"""The SMTP servers, in the order in which they are asked."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue

import structlog

from contracts.errors import TransientError
from mailer.connections import Connections
from mailer.session import Session
from mailer.smtp_url import SmtpServer

log = structlog.get_logger("mailer.servers")

PAUSE = 60.0  # seconds for which a server that could not be opened is left alone


class Servers:
    """Lends a session with the first server that can be connected to and signed in to.

    Only that decides which server gets a mail. When a session is lent, nothing of the mail was said
    yet. From then on the server's answer counts, and no other server is asked in the same run.
    """

    def __init__(
        self,
        servers: Sequence[SmtpServer],
        *,
        timeout: float,
        keep: float = 60.0,
        pause: float = PAUSE,
    ) -> None:
        """Open nothing yet.

        Args:
            servers: the first one is preferred.
            timeout: seconds to wait for any one answer of a server.
            keep: seconds for which an unused connection stays open.
            pause: seconds for which a server that could not be opened is left alone.
        """
        self._servers = [
            _Server(server, Connections(server, timeout=timeout, keep=keep), pause)
            for server in servers
        ]

    @contextmanager
    def borrow(self) -> Iterator[Session]:
        """Lend a session that works. Raises TransientError if no server can be opened.

        A server that is left alone is asked after all others. So a mail is put off only if no
        server at all takes it.
        """
        with ExitStack() as lent:
            yield self._enter_first(lent)

    def _enter_first(self, lent: ExitStack) -> Session:
        reasons: dict[str, str] = {}
        for server in sorted(self._servers, key=_Server.is_left_alone):  # which keeps the order
            try:
                return lent.enter_context(server.borrow())
            except TransientError as error:
                reasons[server.name] = str(error)
        raise TransientError(self._summary(reasons))

    def problem(self) -> str:
        """Sign in to all servers at the same time; returns what went wrong if none can be used.

        It is an empty text as soon as one can be used. The log tells of each of the others.
        """
        found: SimpleQueue[tuple[str, str]] = SimpleQueue()
        for server in self._servers:
            threading.Thread(target=server.look, args=[found], name="check", daemon=True).start()
        reasons: dict[str, str] = {}
        for _ in self._servers:
            name, reason = found.get()
            if not reason:
                return ""
            reasons[name] = reason
        return self._summary(reasons)

    def close(self) -> None:
        """Close all unused connections; one in use is closed when it is given back."""
        for server in self._servers:
            server.connections.close()

    def _summary(self, reasons: dict[str, str]) -> str:
        if len(self._servers) == 1:
            return "".join(reasons.values())
        return "; ".join(f"{server.name}: {reasons[server.name]}" for server in self._servers)


class _Server:
    """One of the servers, with its connections, and for how long it is left alone."""

    def __init__(self, server: SmtpServer, connections: Connections, pause: float) -> None:
        self.name = f"{server.host}:{server.port}"
        self.connections = connections
        self._pause = pause
        self._failed = False
        self._left_alone_until = 0.0

    def is_left_alone(self) -> bool:
        return time.monotonic() < self._left_alone_until

    @contextmanager
    def borrow(self) -> Iterator[Session]:
        if self._failed:  # meanwhile other threads do not wait for it as well
            self._left_alone_until = time.monotonic() + self._pause
        with ExitStack() as lent:
            try:
                session = lent.enter_context(self.connections.borrow())
            except TransientError as error:
                self._failed = True
                self._left_alone_until = time.monotonic() + self._pause
                log.warning("mail server not available", server=self.name, reason=str(error))
                raise
            self._failed, self._left_alone_until = False, 0.0
            yield session

    def look(self, found: SimpleQueue[tuple[str, str]]) -> None:
        reason = "the look itself failed; the worker's log tells why"
        try:
            reason = self.connections.problem()
        finally:
            found.put((self.name, reason))
        if reason:
            log.warning("mail server not available", server=self.name, reason=reason)
