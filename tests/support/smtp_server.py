"""A real SMTP server whose answers a test decides, and that can be away."""

import asyncio
import email
import logging
import threading
from collections import Counter, defaultdict, deque
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import AnyStr

from aiosmtpd.smtp import SMTP, Envelope, Session

from .smtp_faults import FOREVER, Disturbance, Fault, Stage

IDLE_SECONDS = 300.0

logging.getLogger("mail.log").setLevel(logging.WARNING)  # not each line of thousands of mails


class SmtpServer:
    """Takes every mail, unless something else was scripted for it or disturbs them all."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle_seconds = IDLE_SECONDS  # so long a new connection may say nothing
        self.mails: list[EmailMessage] = []
        self.taken: Counter[str] = Counter()  # how often, by Message-ID
        self.unanswered: Counter[str] = Counter()  # those of them that no answer has left for
        self.struck: Counter[Fault] = Counter()  # what has happened how often
        self._of_recipient: dict[str, list[EmailMessage]] = defaultdict(list)
        self._attempts: Counter[str] = Counter()
        self._connections = 0
        self._scripts: dict[str, deque[Fault | None]] = defaultdict(deque)
        self._disturbance = Disturbance()
        self._holds: dict[str, threading.Event] = {}
        self._sessions: set[_Session] = set()
        self._awake = threading.Event()
        self._awake.set()
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
        """Listen and answer, unless it does already."""
        self.resume()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    def shut(self) -> None:
        """Refuse connections, and cut those that there are."""
        self.resume()
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)

    def pause(self) -> None:
        """Freeze it: connections are made and stay open, and nothing answers, until `resume`."""
        self._awake.clear()
        self._loop.call_soon_threadsafe(self._awake.wait)

    def resume(self) -> None:
        """Let it go on."""
        self._awake.set()

    def cut_connections(self) -> None:
        """Close all connections, also those that clients keep open for the next mail."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    def script(self, recipient: str, *faults: Fault | None) -> None:
        """Let these happen to the next mails for ``recipient``; none for one that is taken."""
        self._scripts[recipient].extend(faults)

    def answer(self, recipient: str, *answers: str) -> None:
        """Give these answers to the next mails for ``recipient``; then take them again."""
        self.script(recipient, *(Fault(Stage.END, answer) for answer in answers))

    def disturb(self, *faults: Fault, share: float = 1.0, seed: int = 0) -> None:
        """Let one of ``faults`` happen to a ``share`` of all attempts from now on.

        Faults at the CONNECT stage happen to the same share of connections. What has a script of
        its own is not disturbed.
        """
        self._disturbance = Disturbance(faults, share, seed)

    def calm(self) -> None:
        """Let everything go well from now on, but for what was scripted."""
        self._disturbance = Disturbance()

    def hold(self, recipient: str) -> threading.Event:
        """Take mails for ``recipient`` but do not answer before the event is set."""
        self._holds[recipient] = threading.Event()
        return self._holds[recipient]

    def mails_to(self, recipient: str) -> list[EmailMessage]:
        """The mails that were taken for ``recipient``, oldest first."""
        return list(self._of_recipient.get(recipient, ()))

    def greet(self) -> Fault | None:
        """Say what happens to a new connection."""
        self._connections += 1
        return self._disturbance.strike_connection(self._connections)

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's name
        self,
        server: "_Session",
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Decide what happens to this mail, for it is known now where it goes."""
        self._attempts[address] += 1
        if self._scripts[address]:
            server.fault = self._scripts[address].popleft()
        else:
            server.fault = self._disturbance.strike(address, self._attempts[address])
        if answer := await server.meet(Stage.RCPT):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: "_Session", session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        """Answer for a mail that has arrived in full."""
        recipient, content = envelope.rcpt_tos[0], envelope.original_content or b""
        server.ended = True
        if server.fault and server.fault.stage is Stage.END and server.fault.refuses:
            return await server.meet(Stage.END)
        mail = email.message_from_bytes(content, policy=SMTP_POLICY)
        number, message_id = len(self.mails) + 1, str(mail["Message-ID"])
        self.mails.append(mail)
        self._of_recipient[recipient].append(mail)
        self.taken[message_id] += 1
        self.unanswered[message_id] += 1
        answer = await server.meet(Stage.END)
        if recipient in self._holds:
            await asyncio.to_thread(self._holds[recipient].wait)
        self.unanswered[message_id] -= 1
        return answer or f"250 2.0.0 Ok: queued as {number}"

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
        await self._cut()
        await self._server.wait_closed()
        self._server = None

    async def _cut(self) -> None:
        for session in list(self._sessions):
            session.cut()
        while self._sessions:
            await asyncio.sleep(0.01)  # until each has noticed


class _Session(SMTP):
    def __init__(self, handler: SmtpServer, sessions: set["_Session"]) -> None:
        super().__init__(handler, hostname="mail.example.org", timeout=handler.idle_seconds)
        self._mail_server = handler
        self._open_sessions = sessions
        self.fault: Fault | None = None
        self.ended = False  # a mail has arrived whose answer comes next

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open_sessions.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._open_sessions.discard(self)
        super().connection_lost(error)

    def cut(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def meet(self, stage: Stage) -> str:
        """Let happen what was chosen for a stage; the answer is the one to give, if any."""
        fault = self.fault
        if fault is None or fault.stage is not stage:
            return ""
        self.fault = None
        self._mail_server.struck[fault] += 1
        await asyncio.sleep(fault.seconds)
        if not fault.drop:
            return fault.answer
        if fault.answer:
            await super().push(fault.answer)
            self._writer.close()  # which sends it first
        else:
            self.cut()
        await asyncio.sleep(FOREVER)  # the loss of the connection cancels this
        return ""

    async def push(self, status: AnyStr) -> None:
        await super().push(status)
        if str(status).startswith("354"):
            if self.fault and self.fault.stage is Stage.CONTENT:
                await self._reader.read(1)  # something of it is there
            await self.meet(Stage.CONTENT)
        elif self.ended:
            self.ended = False
            await self.meet(Stage.AFTER)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 -- aiosmtpd's name
        if answer := await self.meet(Stage.DATA):
            await self.push(answer)
        else:
            await super().smtp_DATA(arg)

    async def _handle_client(self) -> None:
        self.fault = self._mail_server.greet()
        await self.meet(Stage.CONNECT)
        await super()._handle_client()
