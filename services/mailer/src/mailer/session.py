"""One connection to the SMTP server."""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from mailer.deadline import cut_after
from mailer.smtp_url import Security, SmtpServer


class Session(smtplib.SMTP):
    """A connection that can be cut from another thread, whatever it is waiting for."""

    def __init__(self, server: SmtpServer, *, timeout: float, tls: ssl.SSLContext) -> None:
        """Connect to nothing yet.

        Args:
            server: where to connect.
            timeout: seconds to wait for any one answer.
            tls: used if ``server.security`` asks for it.
        """
        super().__init__(local_hostname=server.ehlo_name, timeout=timeout)
        self._server = server
        self._tls = tls
        self._host = server.host  # smtplib's starttls checks the certificate for this name
        self._line: socket.socket | None = None
        self._opening = ExitStack()

    @contextmanager
    def opens_within(self, seconds: float) -> Iterator[None]:
        """Cut the connection ``seconds`` after the block has made it, if the block still runs."""
        self._seconds = seconds
        with ExitStack() as self._opening:
            yield

    def greet(self) -> None:
        """Connect, inside of ``opens_within``. Raises OSError or smtplib.SMTPException."""
        code, text = self.connect(self._server.host, self._server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        self._line = plain.dup()  # TLS takes over the socket, but not its duplicate
        self._opening.enter_context(cut_after(self._seconds, self._line))
        if self._server.security is Security.TLS:
            return self._tls.wrap_socket(plain, server_hostname=self._host)
        return plain

    def introduce(self) -> None:
        """Protect the connection and sign in, as the server's address says."""
        self._say_hello()
        if self._server.security is Security.STARTTLS:
            self.starttls(context=self._tls)  # raises if the server does not offer it
            self._say_hello()  # again: answers from before TLS do not count (RFC 3207)
        if self._server.user:
            self.login(self._server.user, self._server.password)

    def _say_hello(self) -> None:
        code, text = self.ehlo()
        if 500 <= code <= 504:  # smtplib would say HELO even to a server that is hanging up
            code, text = self.helo()
        if not 200 <= code <= 299:
            raise smtplib.SMTPHeloError(code, text)

    @contextmanager
    def ends_within(self, seconds: float) -> Iterator[None]:
        """Cut the connection if the block takes longer."""
        if self._line is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        with cut_after(seconds, self._line):
            yield

    def take_leave(self, seconds: float) -> None:
        """Say QUIT and close."""
        with suppress(smtplib.SMTPException, OSError), self.ends_within(seconds):
            self.quit()
        self.close()

    def close(self) -> None:
        """Close without QUIT."""
        super().close()
        if self._line is not None:
            self._line.close()
            self._line = None
