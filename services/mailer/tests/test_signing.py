"""DKIM signatures, verified as a recipient's server does."""

import base64
from dataclasses import replace
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from msgspec import structs

from mailer import rendering
from mailer.addresses import parse_mailbox
from mailer.composing import compose
from mailer.connections import Connections
from mailer.signing import Key, Signer
from mailer.smtp_url import SmtpServer

from .conftest import StartServer, StartWorker
from .delivering import HELLO, MAIL, MAIL_FROM, say_hello
from .web import Web

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
KEYS = pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
DOTS = (
    b"From: noreply@example.org\r\nTo: bob@example.com\r\nSubject: dots\r\n\r\n"
    b".\r\n.hidden\r\n..two  \r\nhello\r\n.\r\n"
)


def short() -> str:
    """Return the form of an RSA key of 512 bits, which no library makes any more."""
    numbers = (0, 2**511 + 1, 65537, 3, 5, 7, 1, 1, 1)
    body = b"".join(
        bytes((2, number.bit_length() // 8 + 1)) + number.to_bytes(number.bit_length() // 8 + 1)
        for number in numbers
    )
    text = base64.encodebytes(bytes((0x30, len(body))) + body).decode()
    return f"-----BEGIN RSA PRIVATE KEY-----\n{text}-----END RSA PRIVATE KEY-----"


def pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    text: bytes = key.private_bytes(Encoding.PEM, form, NoEncryption())
    return text.decode()


def signer(key: Any) -> Signer:
    return Signer("warren", "example.org", Key.parse(pem(key)))


def verified(content: bytes, key: Any) -> bool:
    """Verify a signature with the public key as it stands in the DNS."""
    if key is RSA:
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        form = (Encoding.Raw, PublicFormat.Raw)
    public = base64.b64encode(key.public_key().public_bytes(*form))
    kind = b"rsa" if key is RSA else b"ed25519"

    def look_up(name: bytes, timeout: int = 5) -> bytes | None:
        known = name == b"warren._domainkey.example.org."
        return b"v=DKIM1; k=" + kind + b"; p=" + public if known else None

    return bool(dkim.verify(content, dnsfunc=look_up))


def sent(smtp_server: StartServer, mail: Any) -> bytes:
    """Send a mail; returns it as it arrived."""
    server = smtp_server({"enable_SMTPUTF8": True})
    connections = Connections(SmtpServer("127.0.0.1", server.port), timeout=10)
    say_hello(connections, mail)
    connections.close()
    return server.contents[0]


@KEYS
@pytest.mark.parametrize("recipient", ["bob@example.com", "bøb@example.com"])
@pytest.mark.parametrize("sender", [MAIL_FROM, "Kaninchenbau für Ällé <noreply@example.org>"])
def test_a_mail_is_signed_as_it_arrives(
    smtp_server: StartServer, key: Any, recipient: str, sender: str
) -> None:
    context = {**MAIL.context, "verification_key": "ключ"}
    mail = structs.replace(MAIL, recipient=recipient, context=context)
    outgoing = compose(mail, parse_mailbox(sender), signer(key))
    arrived = sent(smtp_server, outgoing)
    assert outgoing.smtputf8 is not recipient.isascii()
    assert verified(arrived, key)
    assert not verified(arrived.replace(b"confirm", b"enclose"), key)
    assert not verified(arrived.replace(b"To: ", b"To: x"), key)
    assert not verified(b"From: mallory@example.org\r\n" + arrived, key)


@KEYS
@pytest.mark.parametrize("subject", ["Ключ für dich", "x" * 300])
def test_a_subject_beyond_ascii_or_of_several_lines_is_signed(
    smtp_server: StartServer, key: Any, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = rendering.render
    monkeypatch.setattr(
        "mailer.composing.render", lambda *mail: replace(render(*mail), subject=subject)
    )
    arrived = sent(smtp_server, compose(MAIL, parse_mailbox(MAIL_FROM), signer(key)))
    assert verified(arrived, key)
    assert not verified(arrived.replace(b"Subject: ", b"Subject: x"), key)


@KEYS
def test_lines_that_begin_with_a_dot_are_signed_as_they_were(
    smtp_server: StartServer, key: Any
) -> None:
    arrived = sent(smtp_server, replace(HELLO, content=signer(key).sign(DOTS)))
    assert arrived.endswith(DOTS)
    assert verified(arrived, key)


def test_a_worker_signs_if_its_settings_say_so(
    web: Web, smtp_server: StartServer, start_worker: StartWorker
) -> None:
    server = smtp_server()
    worker = start_worker(server, DKIM_SELECTOR="warren", DKIM_KEY=pem(ED25519), LOG_LEVEL="DEBUG")
    web.await_receipt(web.ask(MAIL))
    assert verified(server.contents[0], ED25519)
    assert pem(ED25519).splitlines()[1] not in worker.log


def test_the_headers_that_a_reader_sees_are_signed() -> None:
    signature = signer(ED25519).sign(DOTS).partition(b"\r\nFrom")[0].decode()
    names = "".join(signature.split()).partition(";h=")[2].partition(";")[0].split(":")
    assert names == [
        *("from", "from", "to", "subject", "date", "message-id", "mime-version"),
        *("content-type", "auto-submitted"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        pem(RSA),
        pem(RSA, PrivateFormat.TraditionalOpenSSL),
        pem(RSA).replace("\n", "\r\n"),
        pem(RSA).replace("\n", " "),
    ],
    ids=["pkcs8", "pkcs1", "crlf", "one line"],
)
def test_a_key_is_read_from_each_usual_form(text: str) -> None:
    assert verified(Signer("warren", "example.org", Key.parse(text)).sign(DOTS), RSA)


@pytest.mark.parametrize(
    "text",
    [
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(RSA).replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        pem(RSA)[:900],
        pem(RSA).replace(pem(RSA)[400:800], ""),
        pem(RSA) + pem(ED25519),
        short(),
    ],
)
def test_any_other_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"it must be|base64|1024 bits") as caught:
        Key.parse(text)
    assert text[40:60] not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
