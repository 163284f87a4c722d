"""The mail server of the fault tests does wrong exactly what it is told to."""

import smtplib
from collections import Counter
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from local.ports import free_ports

from . import smtp_faults as faults
from .polling import poll
from .smtp_faults import Fault, Stage
from .smtp_server import SmtpServer

ANNA, BERT = "anna@example.org", "bert@example.org"
TAKEN, REFUSED, LOST = 250, "refused", "lost"


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    [port] = free_ports(1)
    server = SmtpServer(port)
    server.start()
    yield server
    server.stop()


def mail(recipient: str, number: int = 1) -> EmailMessage:
    message = EmailMessage()
    message["To"], message["From"] = recipient, "warren@example.org"
    message["Message-ID"] = f"<{number}.{recipient}>"
    message.set_content("Hello!\n")
    return message


def connect(server: SmtpServer, seconds: float = 20) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", server.port, timeout=seconds)


def send(server: SmtpServer, recipient: str, number: int = 1, seconds: float = 20) -> str | int:
    """Send over a connection of its own; the answer is what became of it for the client."""
    try:
        with connect(server, seconds) as client:
            client.send_message(mail(recipient, number))
    except smtplib.SMTPServerDisconnected:
        return LOST
    except smtplib.SMTPRecipientsRefused as refusal:
        [(code, _)] = refusal.recipients.values()
        return code
    except (smtplib.SMTPResponseException, smtplib.SMTPConnectError) as refusal:
        return refusal.smtp_code
    except OSError:
        return LOST
    return TAKEN


@pytest.mark.parametrize(
    ("fault", "client_sees", "taken"),
    [
        (faults.GREYLISTED, 450, 0),
        (faults.NO_SUCH_USER, 550, 0),
        (faults.BUSY, 451, 0),
        (faults.REJECTED, 554, 0),
        (faults.DROPPED_BEFORE_DATA, LOST, 0),
        (faults.DROPPED_DURING_DATA, LOST, 0),
        (faults.DROPPED_AFTER_DATA, LOST, 1),
        (faults.NEVER_ANSWERED, LOST, 1),
        (faults.slow(0.1), TAKEN, 1),
        (faults.ONE_MAIL_EACH, TAKEN, 1),
        (Fault(Stage.END, "421 4.3.2 Going down", drop=True), 421, 0),
    ],
)
def test_a_scripted_fault_meets_one_mail_of_its_recipient(
    server: SmtpServer, fault: Fault, client_sees: str | int, taken: int
) -> None:
    server.script(ANNA, None, fault)
    assert send(server, ANNA, number=1) == TAKEN
    assert send(server, BERT) == TAKEN
    patience = 1 if fault is faults.NEVER_ANSWERED else 20
    assert send(server, ANNA, number=2, seconds=patience) == client_sees
    assert server.taken["<2.anna@example.org>"] == taken
    assert server.unanswered["<2.anna@example.org>"] == (taken if client_sees == LOST else 0)
    assert send(server, ANNA, number=2) == TAKEN
    assert server.taken["<2.anna@example.org>"] == taken + 1
    assert len(server.mails_to(ANNA)) == taken + 2
    assert server.struck == {fault: 1}


@pytest.mark.parametrize(
    ("fault", "client_sees"),
    [(faults.DROPPED_AT_CONNECT, LOST), (faults.TOO_MANY_CONNECTIONS, 421)],
)
def test_a_connection_is_refused(server: SmtpServer, fault: Fault, client_sees: str | int) -> None:
    server.disturb(fault)
    assert send(server, ANNA) == client_sees
    server.calm()
    assert send(server, ANNA) == TAKEN


def test_the_same_seed_disturbs_the_same_attempts_in_any_order(server: SmtpServer) -> None:
    people = [f"{number}@example.org" for number in range(30)]
    server.disturb(faults.BUSY, faults.GREYLISTED, share=0.5, seed=7)
    first = {who: [send(server, who), send(server, who)] for who in people}
    seen = Counter(answer for answers in first.values() for answer in answers)
    assert set(seen) == {TAKEN, 451, 450}
    assert server.struck.total() == seen[451] + seen[450]
    again = SmtpServer(free_ports(1)[0])
    again.start()
    try:
        again.disturb(faults.BUSY, faults.GREYLISTED, share=0.5, seed=7)
        backwards = {who: [send(again, who), send(again, who)] for who in reversed(people)}
    finally:
        again.stop()
    assert backwards == first


def test_a_connection_takes_one_mail_after_the_other_unless_it_is_closed(
    server: SmtpServer,
) -> None:
    with connect(server) as client:
        client.send_message(mail(ANNA, 1))
        client.send_message(mail(ANNA, 2))
        server.disturb(faults.ONE_MAIL_EACH)
        client.send_message(mail(ANNA, 3))
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.send_message(mail(ANNA, 4))
    assert len(server.mails_to(ANNA)) == 3


@pytest.mark.parametrize("idle", [True, False])
def test_a_connection_that_is_kept_open_is_closed(server: SmtpServer, idle: bool) -> None:
    if idle:
        server.idle_seconds = 0.05
    with connect(server) as client:
        if not idle:
            server.cut_connections()
        assert client.sock is not None
        assert client.sock.recv(1) == b""


def test_a_paused_server_lets_clients_connect_and_says_nothing(server: SmtpServer) -> None:
    server.pause()
    assert send(server, ANNA, seconds=0.5) == LOST
    server.resume()
    assert send(server, ANNA) == TAKEN


def test_who_is_away_can_be_opened_again(server: SmtpServer) -> None:
    server.shut()
    assert send(server, ANNA) == LOST
    server.open()
    assert send(server, ANNA) == TAKEN


def test_a_client_that_leaves_before_the_answer_is_told_from_one_that_got_it(
    server: SmtpServer,
) -> None:
    hold = server.hold(ANNA)
    assert send(server, ANNA, seconds=0.5) == LOST
    hold.set()
    assert send(server, ANNA) == TAKEN
    poll(lambda: server.taken, lambda taken: taken.total() == 2, what="two mails")
    assert server.unanswered.total() == 1
