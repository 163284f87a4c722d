"""How fast one worker sends mails that wait for it."""

import subprocess
import time

from tests.support.polling import poll
from tests.support.smtp_server import SmtpServer

from .systems import PEERS, Peer, Warren

PATIENCE = 300.0  # seconds for all mails
QUEUE = """
from django.db import transaction
from contracts.mails import Welcome
from web.mail import sending
with transaction.atomic():
    for number in range({count}):
        sending.queue(Welcome(), f"bench-{{number}}@example.org")
"""


def of_warren(warren: Warren, count: int) -> float:
    """Mails in a second of the mailer, which keeps its connection open."""
    stack = warren.stack
    stack.mailer.stop()
    stack.manage("shell", "--verbosity=0", "--command", QUEUE.format(count=count), check=True)
    waiting = "SELECT id FROM messaging_outboxmessage WHERE due_at <= now() LIMIT 1"
    poll(lambda: not stack.rows(waiting), what="end of the outbox", deadline=PATIENCE)
    stack.mailer.launch()
    return _rate(stack.smtp, count)


def of_celery(peer: Peer, count: int) -> float:
    """Mails in a second of Django's send_mail in a task, each on a connection of its own."""
    smtp = SmtpServer(peer.servers.settings.ports["SMTP_PORT"])
    smtp.start()
    try:
        peer.worker.stop()
        command = ["python", "manage.py", "send_mails", str(count)]
        subprocess.run(command, cwd=PEERS, env=peer.environment, check=True)
        peer.worker.launch()
        return _rate(smtp, count)
    finally:
        smtp.stop()


def _rate(smtp: SmtpServer, count: int) -> float:
    """Mails in a second from the first on, so that the start of the worker does not count."""
    before = len(smtp.mails)
    first = poll(lambda: len(smtp.mails), lambda taken: taken > before, what="mail",
                 deadline=PATIENCE, meanwhile=_moment)  # fmt: skip
    began = time.perf_counter()
    poll(lambda: len(smtp.mails), lambda taken: taken >= before + count, what="end of all mails",
         deadline=PATIENCE, meanwhile=_moment)  # fmt: skip
    return (before + count - first) / (time.perf_counter() - began)


def _moment() -> None:
    time.sleep(0.005)
