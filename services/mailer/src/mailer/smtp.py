"""Sends one mail over SMTP, and tells exactly what is known about it afterwards (RFC 5321).

==============================================  ==========================================
what happens                                    what it means
==============================================  ==========================================
2xx after the end of DATA                       sent; the answer is returned
no connection, no sign-in, a 5xx greeting       TransientError: the operator mends it
4xx, or silence before the end of DATA          TransientError: not sent, later perhaps
5xx about the mail or its recipient             PermanentError: not sent, and never will be
any other 5xx (see ``mailer.verdicts``)         TransientError: the operator mends it
silence or nonsense after the end of DATA       OutcomeUnknownError: sent, or not
==============================================  ==========================================

Answers are logged. So each is made one line, without the recipient's address, which servers like
to repeat.
"""

import re
import smtplib
from collections.abc import Container

from contracts.errors import PermanentError, TransientError
from mailer.composing import OutgoingMail
from mailer.verdicts import DATA, MAIL, RCPT, is_permanent

REFUSED = "SmtpRefused"
LONGEST_ANSWER = 300
Reply = tuple[int, bytes]


class OutcomeUnknownError(TransientError):
    """The mail was handed over, but the server's answer never came: it may have been sent."""


def converse(session: smtplib.SMTP, mail: OutgoingMail) -> str:
    """Send one mail over an open connection; returns the server's answer ("250 2.0.0 Ok …").

    Raises TransientError, PermanentError or OutcomeUnknownError, as the module's table says.
    """
    try:
        _offer(session, mail)
        session.send(mail.content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    except (smtplib.SMTPException, OSError) as error:
        session.close()
        raise TransientError(f"the SMTP server went away: {reason(error)}") from error
    try:
        code, text = session.getreply()
    except (smtplib.SMTPException, OSError) as error:
        session.close()
        message = f"the SMTP server took the mail but did not answer: {reason(error)}"
        raise OutcomeUnknownError(message) from error
    return _conclude(session, mail, code, text)


def _offer(session: smtplib.SMTP, mail: OutgoingMail) -> None:
    """Send the envelope and DATA. After the server's 354, the mail itself may be sent."""
    if mail.smtputf8 and not session.has_extn("smtputf8"):
        raise PermanentError("the SMTP server takes no address beyond ASCII", REFUSED)
    options = ("SMTPUTF8", "BODY=8BITMIME") if mail.smtputf8 else ()
    _expect({250}, MAIL, mail, session.mail(mail.sender, options))
    _expect({250, 251}, RCPT, mail, session.rcpt(mail.recipient))
    _expect({354}, DATA, mail, session.docmd("DATA"))


def _expect(wanted: Container[int], stage: str, mail: OutgoingMail, reply: Reply) -> None:
    code, text = reply
    if code in wanted:
        return
    answer = describe(code, text, mail.recipient)
    if is_permanent(stage, code, text):
        raise PermanentError(answer, REFUSED)
    raise TransientError(answer)


def _conclude(session: smtplib.SMTP, mail: OutgoingMail, code: int, text: bytes) -> str:
    if not 200 <= code <= 299 and not 400 <= code <= 599:
        session.close()
        raise OutcomeUnknownError("the SMTP server took the mail but its answer makes no sense")
    _expect(range(200, 300), DATA, mail, (code, text))
    return describe(code, text, mail.recipient)


def describe(code: int, text: bytes | str, recipient: str = "") -> str:
    """Put a server's answer into one line, without control characters and the address."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    line = " ".join(f"{code} {words}".split())
    if recipient:
        line = re.sub(re.escape(recipient), "<recipient>", line, flags=re.IGNORECASE)
        line = line.replace("<<recipient>>", "<recipient>")
    return "".join(filter(str.isprintable, line))[:LONGEST_ANSWER]


def reason(error: Exception) -> str:
    """Say what went wrong with a connection."""
    if isinstance(error, smtplib.SMTPResponseException):
        return describe(error.smtp_code, error.smtp_error)
    return str(error) or type(error).__name__
