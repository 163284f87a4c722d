"""From a request to a receipt: render, claim, send, note."""

from email.headerregistry import Address

import structlog

from contracts.errors import PermanentError, TransientError
from contracts.results import MailReceipt
from contracts.tasks import SendEmail
from mailer.composing import compose
from mailer.connections import Connections
from mailer.ledger import Ledger
from mailer.smtp import OutcomeUnknownError, converse

log = structlog.get_logger("mailer.delivery")


def deliver(
    mail: SendEmail, *, mail_from: Address, ledger: Ledger, connections: Connections
) -> MailReceipt:
    """Send a mail once, however often it is asked for.

    Raises:
        MalformedMessageError: the request names no template or no address, or lacks a value.
        TransientError: nothing was sent, or (OutcomeUnknownError) nobody knows; ask again.
        PermanentError: the server refused this mail for good.
    """
    outgoing = compose(mail, mail_from)
    with ledger.claim(mail.email_id) as claim:
        if claim.receipt is not None:
            log.info("mail was sent before", email_id=mail.email_id)
            return claim.receipt
        try:
            with connections.borrow() as session:
                answer = converse(session, outgoing)
        except OutcomeUnknownError:
            raise  # the claim stays, and tells the next run of the doubt
        except (TransientError, PermanentError):
            claim.release()
            raise
        return claim.settle(outgoing.message_id, answer)
