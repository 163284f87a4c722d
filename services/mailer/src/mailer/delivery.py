"""From a request to a receipt: render, claim, send, settle."""

from datetime import datetime
from email.headerregistry import Address

import structlog

from contracts.errors import PermanentError, TransientError
from contracts.events import MailReceipt
from contracts.tasks import SendEmail
from mailer.composing import compose
from mailer.ledger import Ledger
from mailer.servers import Servers
from mailer.signing import Signer
from mailer.smtp import OutcomeUnknownError, converse
from mailer.throttle import Throttle

log = structlog.get_logger("mailer.delivery")


def deliver(
    mail: SendEmail,
    *,
    accepted_at: datetime | None,
    mail_from: Address,
    ledger: Ledger,
    servers: Servers,
    throttle: Throttle,
    signer: Signer | None = None,
) -> MailReceipt:
    """Send a mail once, however often it is asked for. ``accepted_at`` is the time of the request.

    Raises:
        MalformedMessageError: the mail's id, its template or a value is wrong or missing.
        PostponedError: nothing was sent, to keep a limit. Web asks again when it says.
        TransientError: nothing was sent, or the outcome is unknown (OutcomeUnknownError). Web asks
            again.
        PermanentError: the recipient's address is not valid, the server refused this mail for good,
            or the request is too old.
    """
    outgoing = compose(mail, mail_from, signer)
    with ledger.claim(mail.email_id, accepted_at) as claim:
        if claim.receipt is not None:
            log.info("mail was sent before", email_id=mail.email_id)
            return claim.receipt
        try:
            with servers.borrow() as session:
                throttle.wait(outgoing.domain)
                answer = converse(session, outgoing)
        except OutcomeUnknownError:
            raise  # the claim stays, so that the next run marks the mail as uncertain
        except (TransientError, PermanentError):
            claim.release()
            raise
        return claim.settle(outgoing.message_id, answer)
