"""A real SMTP server whose answers a test decides, and that can be away."""

import asyncio
import email
import threading
from collections import defaultdict, deque
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

from aiosmtpd.smtp import SMTP, Envelope, Session


class SmtpServer:
    """Takes every mail, unless the answers for its recipient were scripted."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[EmailMessage] = []
        self._scripts: dict[str, deque[str]] = defaultdict(deque)
        self._holds: dict[str, threading.Event] = {}
        self._sessions: set[_Session] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp-server")
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Run it, and let mails come in."""
        self._thread.start()
        self.open()

    def stop(self) -> None:
        """End it for good."""
        for hold in self._holds.values():
            hold.set()
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self) -> None:
        """Listen, unless it does already."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    def shut(self) -> None:
        """Refuse connections, and cut those that there are."""
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)

    def answer(self, recipient: str, *answers: str) -> None:
        """Give these answers to the next mails for ``recipient``; then take them again."""
        self._scripts[recipient].extend(answers)

    def hold(self, recipient: str) -> threading.Event:
        """Take mails for ``recipient`` but do not answer before the event is set."""
        self._holds[recipient] = threading.Event()
        return self._holds[recipient]

    def mails_to(self, recipient: str) -> list[EmailMessage]:
        """The mails that were taken for ``recipient``, oldest first."""
        return [mail for mail in list(self.mails) if mail["To"] == recipient]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        """Answer for a mail that has arrived in full."""
        recipient, content = envelope.rcpt_tos[0], envelope.original_content or b""
        script = self._scripts[recipient]
        answer = script.popleft() if script else f"250 2.0.0 Ok: queued as {len(self.mails) + 1}"
        if answer.startswith("2"):
            self.mails.append(email.message_from_bytes(content, policy=SMTP_POLICY))
        if recipient in self._holds:
            await asyncio.to_thread(self._holds[recipient].wait)
        return answer

    async def _open(self) -> None:
        if self._server:
            return
        self._server = await self._loop.create_server(
            lambda: _Session(self, self._sessions), "127.0.0.1", self.port
        )

    async def _shut(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for session in list(self._sessions):
            session.cut()
        await self._server.wait_closed()
        while self._sessions:
            await asyncio.sleep(0.01)  # until each has noticed
        self._server = None


class _Session(SMTP):
    def __init__(self, handler: SmtpServer, sessions: set["_Session"]) -> None:
        super().__init__(handler, hostname="mail.example.org")
        self._open_sessions = sessions

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open_sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_sessions.discard(self)
        super().connection_lost(error)

    def cut(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()
