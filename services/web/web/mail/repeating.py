"""Sending failed mails again for an operator, while their contents are kept."""

import time
from collections.abc import Sequence
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet

from contracts.errors import MalformedMessageError
from web.mail import sending
from web.mail.models import Email
from web.mail.results import MAILS

log = structlog.get_logger("web.mail")
BATCH = 200  # mails of one transaction


def repeatable() -> QuerySet[Email]:
    """Select the mails that can be sent again: failed, and with contents."""
    return Email.objects.filter(state=Email.State.FAILED, context__isnull=False)


def send_again(mails: Sequence[UUID], by: str, *, seconds: float = float("inf")) -> int:
    """Queue mails again, in batches of one transaction each; return the number queued.

    Mails that have not failed, or whose contents have been erased, stay as they are. If a mail's
    message cannot be made, the mail fails again and its answer says why.

    Args:
        mails: their ids.
        by: the operator, for the log.
        seconds: after which no further batch is begun.
    """
    end, queued = time.monotonic() + seconds, 0
    for start in range(0, len(mails), BATCH):
        if time.monotonic() > end:
            break
        queued += _queue_again(mails[start : start + BATCH])
    log.info("mails queued again", number=queued, by=by)
    return queued


@transaction.atomic
def _queue_again(ids: Sequence[UUID]) -> int:
    # Locked in the order of their ids, like the collector's, so that the two do not deadlock.
    locked = repeatable().filter(pk__in=ids).order_by("pk").select_for_update()
    queued = MAILS.replay([email.pk for email in locked])
    return sum(_dispatched(email) for email in Email.objects.filter(pk__in=queued))


def _dispatched(email: Email) -> bool:
    try:
        sending.dispatch(email)
    except MalformedMessageError as error:
        log.error("its message cannot be made", task_id=str(email.pk), reason=str(error))
        MAILS.give_up([email.pk], f"its message cannot be made: {error}")
        return False
    return True
