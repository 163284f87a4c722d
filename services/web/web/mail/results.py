"""The tracking of mails: how the mailer's events change them. See ``web.tracking``."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, TextField, Value
from django.db.models.functions import Concat, Now

from contracts.events import TaskEvent, TaskState
from contracts.tasks import SEND_EMAIL
from web.mail import attempts, sending
from web.mail.models import Email
from web.tracking import registry
from web.tracking.engine import Column, Tracking
from web.tracking.retries import RetryPolicy

STATES = {
    TaskState.STARTED: Email.State.SENDING,
    TaskState.PROGRESS: Email.State.SENDING,
    TaskState.RETRY: Email.State.RETRYING,
    TaskState.REVOKED: Email.State.FAILED,
    TaskState.FAILURE: Email.State.FAILED,
    TaskState.SUCCESS: Email.State.SENT,
}
COLUMNS = (
    Column("answer", "text", attempts.answer),
    Column("message_id", "text", attempts.message_id),
    Column("uncertain", "bool", attempts.uncertain),
)
# `failed_at` decides how long a failed mail's contents are kept. So it is the time of the event's
# arrival, by the database's clock: a worker's clock may be wrong.
ASSIGNMENTS = {
    "sent_at": "CASE WHEN event.state = 'sent' THEN event.happened END",
    "failed_at": "CASE WHEN event.state = 'failed' THEN statement_timestamp() END",
    "next_attempt_at": "NULL",
    "context": "CASE WHEN event.state = 'sent' THEN NULL ELSE task.context END",
}
# An operator can send a failed mail again for so long. Until then its context, which may hold a
# key, is kept.
REPEATABLE_FOR = timedelta(days=3)
ERASED = "its contents have been erased"
ERASE = """
    UPDATE mail_email SET context = NULL WHERE id IN (
        SELECT id FROM mail_email
        WHERE state = 'failed' AND context IS NOT NULL
            AND failed_at < now() - make_interval(secs => %s)
        LIMIT 100 FOR UPDATE SKIP LOCKED
    )
"""


class MailTracking(Tracking[Email]):
    """Adds to a mail the history of its attempts, and the erasure of its contents."""

    def unsendable(self, row: Email) -> str:
        """Say why a mail cannot be sent, if its contents have been erased."""
        return ERASED if row.context is None else ""

    def lost(self, reason: str) -> dict[str, Any]:
        """Return the values of mails that fail because their messages are lost or dead."""
        return {"answer": reason, "failed_at": Now(), "next_attempt_at": None}

    def spent(self, reason: str) -> dict[str, Any]:
        """Return the values of mails that have been tried for long enough."""
        answer = Concat(
            Value(f"given up, {reason}; last answer: "), F("answer"), output_field=TextField()
        )
        return {"answer": answer, "failed_at": Now(), "next_attempt_at": None}

    def applied(self, events: Sequence[TaskEvent], winners: Mapping[UUID, TaskEvent]) -> None:
        """Store the attempts, and erase contents that have been kept for long enough."""
        attempts.record(events)
        erase()


def erase() -> int:
    """Erase the contents of up to 100 mails that failed long ago; return the number."""
    with connection.cursor() as cursor:
        cursor.execute(ERASE, [REPEATABLE_FOR.total_seconds()])
        return int(cursor.rowcount)


MAILS = registry.register(
    MailTracking(
        kind=SEND_EMAIL.name,
        service=SEND_EMAIL.service,
        model=Email,
        states=STATES,
        dispatch=sending.dispatch,
        retry=lambda: RetryPolicy.of("MAIL"),
        columns=COLUMNS,
        assignments=ASSIGNMENTS,
        anew={"answer": "", "failed_at": None, "next_attempt_at": None},
        due="next_attempt_at",
        error=None,
        explanation=F("answer"),
    )
)
