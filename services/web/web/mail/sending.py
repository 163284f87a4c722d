"""Handing a mail over to the mailer: the row and its message in one transaction."""

from typing import TYPE_CHECKING

from contracts.addresses import canonical
from contracts.tasks import SEND_EMAIL, SendEmail
from web.mail.models import Email
from web.messaging import outbox

if TYPE_CHECKING:
    from web.accounts.models import User


def queue(
    template: str, recipient: str, context: dict[str, str], *, user: "User | None" = None
) -> Email:
    """Ask for a mail, within the caller's transaction.

    Args:
        template: a template of the mailer's.
        recipient: the address.
        context: what the template needs; it may hold secrets.
        user: whose mail it is, if anybody's.

    Raises OutsideTransactionError, InvalidAddressError for what is no address, and
    MalformedMessageError for a context with values that are no strings; nothing is stored then.
    """
    email = Email(template=template, recipient=canonical(recipient), context=context, user=user)
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


# Stores the message that sends a mail, which must still have its context.
dispatch = outbox.dispatcher(SEND_EMAIL, _message)
