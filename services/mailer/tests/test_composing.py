"""Headers, bodies and envelope of a mail."""

import email
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from contracts.errors import MalformedMessageError, PermanentError
from contracts.tasks import SendEmail
from mailer.addresses import parse_mailbox
from mailer.composing import OutgoingMail, compose
from mailer.rendering import TEMPLATES, MailTemplate

MAIL_FROM = parse_mailbox("Warren <noreply@example.org>")
URL = "https://warren.example.org/verify?key=" + "MQ:1abc-" * 20


def a_mail(**changes: str) -> SendEmail:
    values = {"email_id": "e-1", "template": "verify_email", "recipient": "bob@example.com"}
    context = {"verification_url": URL, "verification_key": "MQ:1abc", "expires_in_days": "3"}
    return SendEmail(**values | changes, context=context)


def parsed(outgoing: OutgoingMail) -> EmailMessage:
    return email.message_from_bytes(outgoing.content, policy=SMTP)


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    text: str = part.get_content()
    return text


def test_a_mail_has_the_headers_that_a_reader_and_a_machine_look_for() -> None:
    message = parsed(compose(a_mail(), MAIL_FROM))
    assert message["From"] == "Warren <noreply@example.org>"
    assert message["To"] == "bob@example.com"
    assert message["Subject"] == "Confirm your e-mail address"
    assert message["Message-ID"] == "<e-1@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.tzinfo is not None
    assert message.get_content_type() == "multipart/alternative"
    assert not message.defects


def test_a_mail_has_the_same_message_id_each_time() -> None:
    assert compose(a_mail(), MAIL_FROM).message_id == compose(a_mail(), MAIL_FROM).message_id


def test_a_long_link_can_be_read_and_copied_from_the_raw_mail() -> None:
    assert URL.encode() in compose(a_mail(), MAIL_FROM).content


def test_bodies_beyond_ascii_or_with_overlong_lines_travel_in_seven_bits() -> None:
    mail = a_mail()
    mail.context["verification_key"] = "ключ" + "x" * 1200
    outgoing = compose(mail, MAIL_FROM)
    assert outgoing.content.isascii()
    assert max(map(len, outgoing.content.split(b"\r\n"))) <= 998
    for kind in ("plain", "html"):
        assert mail.context["verification_key"] in body(parsed(outgoing), kind)


def test_a_recipient_beyond_ascii_asks_for_smtputf8() -> None:
    outgoing = compose(a_mail(recipient="bøb@bücher.example"), MAIL_FROM)
    assert outgoing.smtputf8
    assert outgoing.recipient == "bøb@xn--bcher-kva.example"
    assert "To: bøb@xn--bcher-kva.example\r\n".encode() in outgoing.content
    assert not compose(a_mail(), MAIL_FROM).smtputf8


@pytest.mark.parametrize("recipient", ["bob", "bob@example.com\r\nBcc: eve@example.com"])
def test_a_wrong_recipient_is_refused_without_being_repeated(recipient: str) -> None:
    with pytest.raises(PermanentError, match=r"^the recipient's address is none$"):
        compose(a_mail(recipient=recipient), MAIL_FROM)


@pytest.mark.parametrize("email_id", ["", "e 1", "e@1", "e\n1", "e\x001", "x" * 65])
def test_an_id_that_fits_into_no_message_id_is_refused(email_id: str) -> None:
    with pytest.raises(MalformedMessageError, match="email_id"):
        compose(a_mail(email_id=email_id), MAIL_FROM)


def test_a_subject_with_a_line_break_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    known = TEMPLATES["verify_email"]
    subject = known.subject.environment.from_string("Hello {{ verification_key }}")
    monkeypatch.setitem(TEMPLATES, "greeting", MailTemplate(subject, known.text, known.html))
    mail = a_mail(template="greeting")
    mail.context["verification_key"] = "you\r\nBcc: eve@example.com"
    with pytest.raises(MalformedMessageError, match="'greeting': its subject is not one line"):
        compose(mail, MAIL_FROM)
