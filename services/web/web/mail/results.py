"""What the mailer answers, brought into the mails. See ``web.messaging.ordering``."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, models
from django.db.models import QuerySet
from django.db.models.functions import Now

from contracts.results import TaskEvent, TaskState
from web import request_id
from web.mail import attempts, sending
from web.mail.models import Email
from web.messaging import clock
from web.messaging.clock import HAPPENED
from web.messaging.ordering import FIRST_ANSWER, latest, phase
from web.messaging.retries import RetryPolicy

MODEL = Email
UPDATED = ["state", "answer", "failed_at", "next_attempt_at", "dispatched_at"]
STATES = {
    TaskState.STARTED: Email.State.SENDING,
    TaskState.PROGRESS: Email.State.SENDING,
    TaskState.RETRY: Email.State.RETRYING,
    TaskState.REVOKED: Email.State.FAILED,
    TaskState.FAILURE: Email.State.FAILED,
    TaskState.SUCCESS: Email.State.SENT,
}
# One statement for a whole batch. A row moves only to a higher rank, and never away from sent.
# The rows are locked in the order of their ids, so that two collectors do not wait in a circle.
# When a mail failed decides about how long it is kept, so that is the time of the arrival.
UPDATE = f"""
    WITH event AS (
        SELECT * FROM unnest(
            %(id)s::uuid[], %(state)s::text[], %(attempt)s::int[], %(phase)s::int[],
            %(answer)s::text[], %(message_id)s::text[], %(uncertain)s::bool[],
            %(at)s::timestamptz[]
        ) AS event (id, state, attempt, phase, answer, message_id, uncertain, at)
    ), locked AS (
        SELECT id FROM mail_email WHERE id IN (SELECT id FROM event) ORDER BY id FOR UPDATE
    )
    UPDATE mail_email AS email SET
        state = event.state, attempt = event.attempt, phase = event.phase,
        answer = event.answer, message_id = event.message_id, uncertain = event.uncertain,
        sent_at = CASE WHEN event.state = 'sent' THEN {HAPPENED.format(row="email")} END,
        failed_at = CASE WHEN event.state = 'failed' THEN statement_timestamp() END,
        next_attempt_at = NULL,
        context = CASE WHEN event.state = 'sent' THEN NULL ELSE email.context END
    FROM event JOIN locked ON locked.id = event.id
    WHERE email.id = event.id AND email.state <> 'sent'
        AND (event.state = 'sent'
             OR (event.phase >= {FIRST_ANSWER}, event.attempt, event.phase)
              > (email.phase >= {FIRST_ANSWER} AND email.state = 'failed',
                 email.attempt, email.phase)
             -- the answer that an operator has replayed may come once more
             AND NOT (event.phase >= {FIRST_ANSWER}
                      AND (event.attempt, event.phase) = (email.attempt, email.phase)))
    RETURNING email.id, email.state
"""  # noqa: S608 -- of constants
# A failed mail keeps its context, and so a key, for as long as an operator may want to repeat it.
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


def apply(events: Sequence[TaskEvent]) -> None:
    """Bring the mails of a batch up to date, inside of the collector's transaction."""
    with connection.cursor() as cursor:
        winners = latest(events)
        cursor.execute(UPDATE, _columns(winners))
        changed = cursor.fetchall()
        attempts.record(events)
        retrying = [email_id for email_id, state in changed if state == Email.State.RETRYING]
        if retrying:
            _try_again({email_id: winners[email_id].request_id for email_id in retrying})
        cursor.execute(ERASE, [REPEATABLE_FOR.total_seconds()])


def replay(email_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Queue failed mails again for an operator; see ``web.messaging.handlers.Handler``."""
    # Locked in the order of their ids, as the collector does it.
    failed = Email.objects.select_for_update().filter(pk__in=email_ids, state=Email.State.FAILED)
    runs = dict(failed.order_by("pk").values_list("pk", "attempt"))
    Email.objects.filter(pk__in=runs).update(
        state=Email.State.QUEUED,
        answer="",
        queued_at=Now(),
        failed_at=None,
        next_attempt_at=None,
        dispatched_at=Now(),
        republished=0,
    )
    return runs


def errors(email_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Say with what mails have failed; see ``web.messaging.handlers.Handler``."""
    failed = Email.objects.filter(pk__in=email_ids, state=Email.State.FAILED)
    return dict(failed.values_list("pk", "answer"))


def unfinished() -> QuerySet[Email]:
    """Select the mails that have no answer yet; see ``web.messaging.handlers.Handler``."""
    return Email.objects.filter(state__in=Email.UNFINISHED)


def publish_again(email_ids: Sequence[UUID]) -> None:
    """Queue mails again whose messages got lost; see ``web.messaging.handlers.Handler``."""
    emails = Email.objects.filter(pk__in=email_ids, context__isnull=False)
    erased = Email.objects.filter(pk__in=email_ids, context__isnull=True)
    give_up(list(erased.values_list("pk", flat=True)), f"its message got lost; {ERASED}")
    emails.update(
        state=Email.State.QUEUED,
        next_attempt_at=None,
        dispatched_at=Now(),
        republished=models.F("republished") + 1,
    )
    for email in emails:
        sending.dispatch(email)


def give_up(email_ids: Sequence[UUID], reason: str) -> None:
    """Let mails fail whose messages got lost; see ``web.messaging.handlers.Handler``."""
    Email.objects.filter(pk__in=email_ids).update(
        state=Email.State.FAILED, answer=reason, failed_at=Now(), next_attempt_at=None
    )


def _columns(winners: dict[UUID, TaskEvent]) -> dict[str, list[Any]]:
    rows = [_row(email_id, event) for email_id, event in winners.items()]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _row(email_id: UUID, event: TaskEvent) -> dict[str, Any]:
    state = STATES[event.state]
    receipt = attempts.receipt(event) if state == Email.State.SENT else None
    return {
        "id": email_id,
        "state": state.value,
        "attempt": event.attempt,
        "phase": phase(event),
        "answer": attempts.answer(event),
        "message_id": receipt.message_id if receipt else "",
        "uncertain": bool(receipt and receipt.uncertain),
        "at": event.at,
    }


def _try_again(request_ids: dict[UUID, str]) -> None:
    policy = RetryPolicy(
        settings.MAIL_RETRY_FIRST, settings.MAIL_RETRY_LONGEST, settings.MAIL_RETRY_FOR
    )
    emails, now = list(Email.objects.filter(pk__in=request_ids)), clock.now()
    for email in emails:
        email.next_attempt_at = policy.next_time(email.attempt, email.queued_at, now)
        if email.context is None:
            _give_up(email, ERASED)
        elif email.next_attempt_at is None:
            _give_up(email, f"it has been tried for {timedelta(seconds=settings.MAIL_RETRY_FOR)}")
        else:
            email.dispatched_at = email.next_attempt_at
            with request_id.restored(request_ids[email.pk]):
                sending.dispatch(email, available_at=email.next_attempt_at)
    Email.objects.bulk_update(emails, UPDATED)


def _give_up(email: Email, reason: str) -> None:
    email.state, email.failed_at = Email.State.FAILED, Now()
    email.next_attempt_at = None
    email.answer = f"given up, {reason}; last answer: {email.answer}"
