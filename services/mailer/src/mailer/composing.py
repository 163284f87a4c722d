"""A mail as it goes to the SMTP server: headers, two bodies, envelope."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from contracts.addresses import InvalidAddressError
from contracts.errors import MalformedMessageError, PermanentError
from contracts.tasks import SendEmail
from mailer.addresses import needs_smtputf8, parse_address
from mailer.rendering import Rendered, render
from mailer.signing import Signer

SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST_LINE = 998  # RFC 5322, 2.1.1
ASCII_ONLY = SMTP.clone(cte_type="7bit")  # not every server takes eight bits


@dataclass(frozen=True)
class OutgoingMail:
    """A mail and its envelope. If ``smtputf8`` is set, only a server with RFC 6531 can take it."""

    message_id: str
    sender: str
    recipient: str
    content: bytes
    smtputf8: bool

    @property
    def domain(self) -> str:
        """The recipient's, in lower case."""
        return self.recipient.rpartition("@")[2].lower()


def compose(mail: SendEmail, mail_from: Address, signer: Signer | None = None) -> OutgoingMail:
    """Render a mail, sign it if there is a signer, and put it into its envelope.

    The Message-ID is made from the mail's id and the sender's domain. A mail that is sent twice has
    the same one, so a mailbox may show it only once.

    Raises MalformedMessageError if the id, the template or its values are wrong, and PermanentError
    if the recipient's address is not valid.
    """
    recipient = _recipient(mail)
    message_id = _message_id(mail, mail_from)
    message = _message(render(mail.template, mail.context))
    message["From"] = mail_from
    message["To"] = recipient
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: auto-responders do not reply
    smtputf8 = needs_smtputf8(mail_from, recipient)
    content = message.as_bytes(policy=ASCII_ONLY.clone(utf8=smtputf8))
    return OutgoingMail(
        message_id=message_id,
        sender=mail_from.addr_spec,
        recipient=recipient.addr_spec,
        content=signer.sign(content) if signer else content,
        smtputf8=smtputf8,
    )


def _recipient(mail: SendEmail) -> Address:
    try:
        return parse_address(mail.recipient)
    except InvalidAddressError:
        raise PermanentError("the recipient's address is none", "InvalidRecipient") from None


def _message_id(mail: SendEmail, mail_from: Address) -> str:
    if not SAFE_ID.fullmatch(mail.email_id):
        raise MalformedMessageError("email_id: it must be 1 to 64 letters, digits, - or _")
    return f"<{mail.email_id}@{mail_from.domain}>"


def _message(rendered: Rendered) -> EmailMessage:
    message = EmailMessage(policy=ASCII_ONLY)
    message["Subject"] = rendered.subject
    message.set_content(rendered.text, cte=_encoding(rendered.text))
    message.add_alternative(rendered.html, subtype="html", cte=_encoding(rendered.html))
    return message


def _encoding(text: str) -> str:
    """Leave a text as it is if possible: a link that is cut and encoded is hard to read."""
    if text.isascii() and all(len(line) <= LONGEST_LINE for line in text.splitlines()):
        return "7bit"
    return "quoted-printable"
