"""A real SMTP server on loopback that misbehaves as it is told to."""

import asyncio
import email
import socket
import threading
from collections import defaultdict
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from enum import Enum
from typing import Any, AnyStr

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.polling import DEADLINE, poll


class Misbehaviour(Enum):
    """What a server may do instead of answering."""

    DROP = "close the connection"
    HANG = "stay silent until released"


# A server's answer, or something to do first, with which it then goes on as usual.
Action = str | Misbehaviour | Callable[[], object]
DROP, HANG = Misbehaviour.DROP, Misbehaviour.HANG


class ScriptedServer:
    """Takes mails; ``script`` tells for each stage what to do the first, second, … time.

    The stages are GREETING, EHLO, AUTH, MAIL, RCPT, DATA (instead of 354), CONTENT (after 354), END
    (when the whole mail has arrived), RSET, QUIT. ``mails`` are those that arrived in full and were
    not refused: a server that falls silent at the END has its mail all the same. ``seen`` lists
    the stages that clients reached.
    """

    def __init__(self, script: dict[str, list[Action | None]], **options: Any) -> None:
        self.script: dict[str, list[Action | None]] = defaultdict(list, script)
        self.mails: list[EmailMessage] = []
        self.contents: list[bytes] = []  # the same, byte for byte
        self.seen: list[str] = []
        self.sessions: list[_ScriptedSession] = []
        self.released = threading.Event()
        self.port = free_port()
        self._controller = _ScriptedController(self, port=self.port, **options)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self.released.set()
        self._controller.stop()

    def drop_connections(self) -> None:
        """Close every open connection, as a server does with those that idle."""
        for session in list(self.sessions):
            self._controller.loop.call_soon_threadsafe(session.drop)
        self.wait_for(lambda: not self.sessions)

    def wait_for(self, condition: Callable[[], object]) -> None:
        poll(condition, what="such state", explain=lambda: f"the server saw {self.seen}")

    def message_ids(self) -> list[str]:
        return [mail["Message-ID"] for mail in self.mails]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        assert isinstance(server, _ScriptedSession)
        assert isinstance(envelope.content, bytes)
        action = self.next_action("END")
        if not isinstance(action, str) or action.startswith("2"):
            self.contents.append(envelope.content)
            self.mails.append(email.message_from_bytes(envelope.content, policy=SMTP_POLICY))
        await server.misbehave(action)
        return action if isinstance(action, str) else f"250 2.0.0 Ok: queued as {len(self.mails)}"

    def next_action(self, stage: str) -> Action | None:
        self.seen.append(stage)
        return self.script[stage].pop(0) if self.script[stage] else None


class _ScriptedSession(SMTP):
    def __init__(self, server: ScriptedServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server.sessions.append(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._server.sessions:
            self._server.sessions.remove(self)
        super().connection_lost(error)

    def drop(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def push(self, status: AnyStr) -> None:
        line = str(status)
        if line == f"220 {self.hostname} {self.__ident__}":
            action = self._server.next_action("GREETING")
            await super().push(action if isinstance(action, str) else line)
            return
        await super().push(status)
        if line.startswith("354 End data"):
            await self.misbehave(self._server.next_action("CONTENT"))

    async def misbehave(self, action: Action | None) -> None:
        if action is DROP:
            self.drop()
            await asyncio.sleep(DEADLINE)  # until the loss of the connection cancels this
        elif action is HANG:
            await asyncio.to_thread(self._server.released.wait)
        elif callable(action):
            await asyncio.to_thread(action)

    async def _or(self, stage: str, usual: Callable[[str], Any], argument: str) -> None:
        action = self._server.next_action(stage)
        if isinstance(action, str):
            await self.push(action)
        else:
            await self.misbehave(action)
            await usual(argument)

    async def smtp_EHLO(self, arg: str) -> None:  # noqa: N802 -- aiosmtpd's name
        await self._or("EHLO", super().smtp_EHLO, arg)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 -- aiosmtpd's name
        await self._or("MAIL", super().smtp_MAIL, arg or "")

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 -- aiosmtpd's name
        await self._or("RCPT", super().smtp_RCPT, arg or "")

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 -- aiosmtpd's name
        await self._or("DATA", super().smtp_DATA, arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802 -- aiosmtpd's name
        await self._or("AUTH", super().smtp_AUTH, arg)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802 -- aiosmtpd's name
        await self._or("QUIT", super().smtp_QUIT, arg)

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802 -- aiosmtpd's name
        await self._or("RSET", super().smtp_RSET, arg)


class _ScriptedController(Controller):
    def __init__(self, server: ScriptedServer, **options: Any) -> None:
        super().__init__(server, hostname="127.0.0.1", ready_timeout=DEADLINE, **options)
        self._scripted = server

    def factory(self) -> _ScriptedSession:
        return _ScriptedSession(self._scripted, **self.SMTP_kwargs)

    def _trigger_server(self) -> None:
        """Keep the controller's own trial connection out of the script."""
        greetings, self._scripted.script["GREETING"] = self._scripted.script["GREETING"], []
        super()._trigger_server()  # type: ignore[no-untyped-call]
        self._scripted.wait_for(lambda: not self._scripted.sessions)
        self._scripted.script["GREETING"] = greetings
        self._scripted.seen.clear()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
