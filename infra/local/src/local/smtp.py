"""A mail catcher: takes every mail, delivers none, keeps each in a Maildir."""

import asyncio
import email
import email.policy
import mailbox
import signal
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session


class Catcher:
    """Keeps mails, and prints each one's recipients and subject, but not its contents."""

    def __init__(self, folder: Path) -> None:
        for part in ("tmp", "new", "cur"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self._maildir = mailbox.Maildir(folder)

    async def handle_DATA(  # noqa: N802  # the name that aiosmtpd looks for
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        content = (envelope.original_content or b"").replace(b"\r\n", b"\n")  # as in a Maildir
        headers = email.message_from_bytes(content, policy=email.policy.default)
        self._maildir.add(content)
        print(f"to {', '.join(envelope.rcpt_tos)}: {headers['subject']}", flush=True)
        return "250 OK"


def read_mails(folder: Path) -> list[EmailMessage]:
    """Read the mails that were caught, oldest first."""
    files = [file for part in ("new", "cur") for file in (folder / part).glob("*")]
    return [
        email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)
    ]


def newest_mail(folder: Path, address: str | None = None) -> EmailMessage | None:
    """Return the mail that was caught last, of all or of those to `address`."""
    mails = read_mails(folder)
    return next((mail for mail in reversed(mails) if address in (None, *_recipients(mail))), None)


def text(mail: EmailMessage) -> str:
    """Return the plain text of a mail; empty if it has none."""
    body = mail.get_body(preferencelist=("plain",))
    return str(body.get_content()) if body else ""


def _recipients(mail: EmailMessage) -> list[str]:
    return [address.addr_spec for address in getattr(mail["to"], "addresses", ())]


def serve(port: int, folder: Path) -> None:
    """Catch mails on 127.0.0.1 until told to stop."""
    asyncio.run(_serve(port, folder))


async def _serve(port: int, folder: Path) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    catcher = Catcher(folder)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(catcher, enable_SMTPUTF8=True), "127.0.0.1", port
    )
    async with server:
        print(f"catching mails on 127.0.0.1:{port}, keeping them in {folder}", flush=True)
        await stopping.wait()
