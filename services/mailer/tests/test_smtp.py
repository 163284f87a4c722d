"""Each way in which a server can answer, or not, and what is known afterwards."""

import re
import socket

import pytest

from contracts.errors import PermanentError, TransientError
from mailer.composing import OutgoingMail
from mailer.connections import Connections
from mailer.smtp import OutcomeUnknownError, converse, describe
from mailer.smtp_url import SmtpServer

from .conftest import StartServer
from .scripted_server import DROP, HANG, Action, ScriptedServer

STAGES = ["MAIL", "RCPT", "DATA", "END"]


def a_mail(recipient: str = "bob@example.com", content: bytes = b"", **more: bool) -> OutgoingMail:
    return OutgoingMail(
        message_id="<e-1@example.org>",
        sender="noreply@example.org",
        recipient=recipient,
        content=content or b"Message-ID: <e-1@example.org>\r\n\r\nhello\r\n",
        smtputf8=more.get("smtputf8", False),
    )


def send(server: ScriptedServer, mail: OutgoingMail, timeout: float = 10.0) -> str:
    connections = Connections(SmtpServer("127.0.0.1", server.port), timeout=timeout)
    try:
        with connections.borrow() as session:
            return converse(session, mail)
    finally:
        connections.close()


def test_the_servers_answer_is_returned(smtp_server: StartServer) -> None:
    server = smtp_server()
    assert send(server, a_mail()) == "250 2.0.0 Ok: queued as 1"
    assert server.message_ids() == ["<e-1@example.org>"]


def test_lines_that_begin_with_a_dot_arrive_as_they_were(smtp_server: StartServer) -> None:
    server = smtp_server()
    send(server, a_mail(content=b"Subject: dots\r\n\r\n.\r\n..\r\n.hidden\r\n"))
    assert server.mails[0].get_content() == ".\r\n..\r\n.hidden\r\n"


@pytest.mark.parametrize("stage", STAGES)
def test_a_4xx_answer_is_transient_and_told(smtp_server: StartServer, stage: str) -> None:
    server = smtp_server(**{stage: ["451 4.7.1 Greylisted,\ttry later"]})
    with pytest.raises(TransientError, match=r"^451 4\.7\.1 Greylisted, try later$") as caught:
        send(server, a_mail())
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert server.mails == []


# What real servers say, at which stage; only the second list speaks of the mail or its recipient.
OURS = [
    ("RCPT", "504 5.5.2 <[127.0.0.1]>: Helo command rejected: need fully-qualified hostname"),
    ("RCPT", "554 5.7.1 <recipient>: Relay access denied"),
    ("RCPT", "554 5.7.1 Client host rejected: cannot find your reverse hostname"),
    ("RCPT", "550 5.7.1 Unable to relay"),
    ("RCPT", "550 5.4.5 Daily sending limit exceeded"),
    ("RCPT", "553 5.1.8 Sender address rejected: Domain not found"),
    ("RCPT", "550 5.1.7 The sender's address was invalid"),
    ("RCPT", "554 Transaction failed"),
    ("MAIL", "553 5.7.1 sender address rejected: not owned by user"),
    ("MAIL", "550 5.7.60 SMTP; Client does not have permissions to send as this sender"),
    ("MAIL", "550 5.1.0 Sender rejected"),
    ("MAIL", "550 Verify your sender first"),
    ("MAIL", "503 5.5.1 Bad sequence of commands"),
    ("MAIL", "530 5.7.0 Authentication required"),
    ("MAIL", "534 5.7.9 Password has expired"),
    ("MAIL", "535 5.7.8 Credentials invalid"),
    ("MAIL", "538 Encryption required"),
    ("DATA", "503 5.5.1 RCPT first"),
    ("END", "550 5.7.26 This mail is unauthenticated: SPF and DKIM did not pass"),
    ("END", "554 5.3.5 System incorrectly configured"),
]
THEIRS = [
    ("MAIL", "552 5.3.4 Message size exceeds fixed limit"),
    ("MAIL", "552 Too big"),
    ("RCPT", "550 5.1.1 No such user here"),
    ("RCPT", "550 5.1.10 Domain takes no mail"),
    ("RCPT", "552 5.2.2 Mailbox full"),
    ("RCPT", "550 5.7.17 Mailbox owner has changed"),
    ("RCPT", "550 No such user here"),
    ("RCPT", "556 Takes no mail"),
    ("DATA", "554 No valid recipients"),
    ("END", "550 5.1.1 No such user here"),
    ("END", "552 5.3.4 Too big"),
    ("END", "554 5.6.0 Content refused"),
    ("END", "554 Looks like spam"),
]


@pytest.mark.parametrize(("stage", "answer"), OURS)
def test_a_5xx_answer_about_us_is_transient_and_told(
    smtp_server: StartServer, stage: str, answer: str
) -> None:
    server = smtp_server(**{stage: [answer]})
    with pytest.raises(TransientError, match=f"^{re.escape(answer)}$") as caught:
        send(server, a_mail())
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert server.mails == []


@pytest.mark.parametrize(("stage", "answer"), THEIRS)
def test_a_5xx_answer_about_the_mail_or_its_recipient_is_permanent_and_told(
    smtp_server: StartServer, stage: str, answer: str
) -> None:
    server = smtp_server(**{stage: [answer]})
    with pytest.raises(PermanentError, match=f"^{re.escape(answer)}$") as caught:
        send(server, a_mail())
    assert caught.value.kind == "SmtpRefused"
    assert server.mails == []


def test_the_mailer_says_its_name(smtp_server: StartServer) -> None:
    server = smtp_server()
    connections = Connections(SmtpServer("127.0.0.1", server.port, ehlo_name="me.test"), timeout=10)
    with connections.borrow():
        names = [peer.session.host_name for peer in server.sessions if peer.session]
    connections.close()
    assert names == ["me.test"]


@pytest.mark.parametrize("answer", ["421 4.3.2 Too many connections", "550 5.7.1 Go away"])
def test_a_refused_introduction_is_told_as_it_is(smtp_server: StartServer, answer: str) -> None:
    with pytest.raises(TransientError, match=f"no session with the SMTP server: {answer}"):
        send(smtp_server(EHLO=[answer]), a_mail())


def test_a_server_without_extensions_is_greeted_as_in_old_times(smtp_server: StartServer) -> None:
    assert send(smtp_server(EHLO=["502 5.5.1 EHLO what?"]), a_mail()).startswith("250")


@pytest.mark.parametrize("answer", ["421 4.3.2 Going down", "521 Go away", "554 No service"])
def test_an_unfriendly_greeting_is_the_operators_matter(
    smtp_server: StartServer, answer: str
) -> None:
    with pytest.raises(TransientError, match=f"no connection to the SMTP server: {answer}"):
        send(smtp_server(GREETING=[answer]), a_mail())


def test_a_server_that_is_not_there_is_transient() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        server = SmtpServer("127.0.0.1", reserved.getsockname()[1])
        connections = Connections(server, timeout=5)
        with pytest.raises(TransientError, match="no connection to the SMTP server"):
            connections.borrow().__enter__()


@pytest.mark.parametrize("stage", ["EHLO", "MAIL", "RCPT", "DATA", "CONTENT"])
def test_a_connection_lost_before_the_end_of_the_mail_is_transient(
    smtp_server: StartServer, stage: str
) -> None:
    server = smtp_server(**{stage: [DROP]})
    content = b"Subject: big\r\n\r\n" + b"x" * 76 * 100_000  # more than the sockets' buffers hold
    with pytest.raises(TransientError, match="SMTP server") as caught:
        send(server, a_mail(content=content + b"\r\n"))
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert server.mails == []


@pytest.mark.parametrize("stage", ["EHLO", "MAIL", "RCPT", "DATA"])
def test_silence_before_the_end_of_the_mail_is_transient(
    smtp_server: StartServer, stage: str
) -> None:
    server = smtp_server(**{stage: [HANG]})
    with pytest.raises(TransientError, match="timed out") as caught:
        send(server, a_mail(), timeout=0.3)
    assert not isinstance(caught.value, OutcomeUnknownError)


@pytest.mark.parametrize(
    ("action", "said"),
    [(DROP, "closed|reset"), (HANG, "timed out"), ("what?", "makes no sense"), ("354", "no sense")],
)
def test_no_answer_after_the_end_of_the_mail_leaves_its_outcome_unknown(
    smtp_server: StartServer, action: Action, said: str
) -> None:
    server = smtp_server(END=[action])
    with pytest.raises(OutcomeUnknownError, match=f"took the mail but.*({said})"):
        send(server, a_mail(), timeout=2.0 if action is HANG else 10.0)


def test_an_answer_does_not_give_the_recipient_away(smtp_server: StartServer) -> None:
    server = smtp_server(RCPT=["550 5.1.1 <Bob@Example.com>: bob@example.com unknown"])
    with pytest.raises(PermanentError) as caught:
        send(server, a_mail())
    assert str(caught.value) == "550 5.1.1 <recipient>: <recipient> unknown"


def test_an_answer_is_one_short_line_without_control_characters() -> None:
    answer = describe(250, b"2.0.0 Ok\nqueued \x1b[31mas\t\xff" + b"9" * 1000)
    assert answer.startswith("250 2.0.0 Ok queued [31mas \ufffd999")
    assert len(answer) == 300


@pytest.fixture
def modern_server(smtp_server: StartServer) -> ScriptedServer:
    return smtp_server({"enable_SMTPUTF8": True})


def test_an_address_beyond_ascii_reaches_a_server_that_takes_it(
    modern_server: ScriptedServer,
) -> None:
    content = "To: bøb@example.com\r\n\r\nhello\r\n".encode()
    send(modern_server, a_mail("bøb@example.com", content, smtputf8=True))
    send(modern_server, a_mail())
    assert modern_server.mails[0]["To"] == "bøb@example.com"
    assert len(modern_server.mails) == 2


def test_an_address_beyond_ascii_is_refused_where_the_server_cannot_take_it(
    smtp_server: StartServer,
) -> None:
    server = smtp_server({"enable_SMTPUTF8": False})
    with pytest.raises(PermanentError, match="no address beyond ASCII"):
        send(server, a_mail("bøb@example.com", smtputf8=True))
    assert "MAIL" not in server.seen
