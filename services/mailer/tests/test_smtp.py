"""Each way in which a server can answer, or not, and what is known afterwards."""

import socket

import pytest

from contracts.errors import PermanentError, TransientError
from mailer.composing import OutgoingMail
from mailer.config import SmtpServer
from mailer.connections import Connections
from mailer.smtp import OutcomeUnknownError, converse, describe

from .conftest import StartServer
from .scripted_server import DROP, HANG, Action, ScriptedServer


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


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "END"])
def test_a_4xx_answer_is_transient_and_told(smtp_server: StartServer, stage: str) -> None:
    server = smtp_server(**{stage: ["451 4.7.1 Greylisted,\ttry later"]})
    with pytest.raises(TransientError, match=r"^451 4\.7\.1 Greylisted, try later$") as caught:
        send(server, a_mail())
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert server.mails == []


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "END"])
def test_a_5xx_answer_is_permanent_and_told(smtp_server: StartServer, stage: str) -> None:
    server = smtp_server(**{stage: ["550 5.1.1 No such user here"]})
    with pytest.raises(PermanentError, match=r"^550 5\.1\.1 No such user here$") as caught:
        send(server, a_mail())
    assert caught.value.kind == "SmtpRefused"
    assert server.mails == []


@pytest.mark.parametrize("code", [530, 534, 535, 538])
def test_a_server_that_wants_another_sign_in_says_nothing_about_the_mail(
    smtp_server: StartServer, code: int
) -> None:
    with pytest.raises(TransientError, match=f"^{code} 5.7.0 Authentication required"):
        send(smtp_server(MAIL=[f"{code} 5.7.0 Authentication required"]), a_mail())


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
        send(server, a_mail(), timeout=0.5)


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
