"""Handing a mail over to the mailer: its row and its message are stored in one transaction."""

from typing import TYPE_CHECKING

from contracts.addresses import canonical
from contracts.mails import Mail
from contracts.tasks import SEND_EMAIL, SendEmail
from web.mail.models import Email
from web.messaging.outbox import outbox

if TYPE_CHECKING:
    from web.accounts.models import User


def queue(mail: Mail, recipient: str, *, user: "User | None" = None) -> Email:
    """Ask for a mail, within the caller's transaction.

    Args:
        mail: one of ``contracts.mails``; its values may be secrets.
        recipient: the address.
        user: the user to whom the mail is shown, if there is one.

    Raises OutsideTransactionError, InvalidAddressError for a recipient that is not valid, and
    MalformedMessageError for a value of a wrong type. Nothing is stored then.
    """
    email = Email(
        template=mail.template, recipient=canonical(recipient), context=mail.context(), user=user
    )
    dispatch(email)  # first: it refuses what cannot be sent before anything is written
    email.save(force_insert=True)
    return email


def _message(email: Email) -> SendEmail:
    return SendEmail(
        email_id=str(email.id),
        template=email.template,
        recipient=email.recipient,
        context=email.context or {},
    )


# Stores the message that sends a mail. The mail must still have its context.
dispatch = outbox.dispatcher(SEND_EMAIL, _message)
