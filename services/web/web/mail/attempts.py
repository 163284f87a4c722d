"""The history of a mail: one row for each run of the mailer."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
from django.db import connection

from contracts.events import MailReceipt, TaskEvent, TaskState
from runtime.text import storable_text
from web.mail.models import EmailAttempt
from web.postgresql.clock import HAPPENED
from web.tracking.rules import phase

Outcome = EmailAttempt.Outcome
OUTCOMES = {
    TaskState.STARTED: Outcome.STARTED,
    TaskState.PROGRESS: Outcome.STARTED,
    TaskState.RETRY: Outcome.DEFERRED,
    TaskState.REVOKED: Outcome.FAILED,
    TaskState.FAILURE: Outcome.FAILED,
    TaskState.SUCCESS: Outcome.SENT,
}
LONGEST_ANSWER = 2000  # characters
# Of two events of one run the later phase counts. But the earlier time is kept, and a worker's name
# is taken from either event.
UPSERT = f"""
    INSERT INTO mail_emailattempt AS attempt (email_id, number, phase, at, worker, outcome, answer)
    SELECT email_id, number, event.phase, {HAPPENED.format(row="email")}, worker, outcome,
        event.answer
    FROM unnest(
        %(email_id)s::uuid[], %(number)s::int[], %(phase)s::int[], %(at)s::timestamptz[],
        %(worker)s::text[], %(outcome)s::text[], %(answer)s::text[]
    ) AS event (email_id, number, phase, at, worker, outcome, answer)
    JOIN mail_email AS email ON email.id = event.email_id
    ORDER BY email_id, number
    ON CONFLICT (email_id, number) DO UPDATE SET
        phase = GREATEST(attempt.phase, excluded.phase),
        at = LEAST(attempt.at, excluded.at),
        worker = COALESCE(NULLIF(CASE WHEN excluded.phase > attempt.phase
            THEN excluded.worker ELSE attempt.worker END, ''), NULLIF(attempt.worker, ''),
            excluded.worker),
        outcome = CASE WHEN excluded.phase > attempt.phase
            THEN excluded.outcome ELSE attempt.outcome END,
        answer = CASE WHEN excluded.phase > attempt.phase
            THEN excluded.answer ELSE attempt.answer END
"""  # noqa: S608 -- of constants


def record(events: Iterable[TaskEvent]) -> None:
    """Store the runs that a batch of events tells of; runs of unknown mails are skipped."""
    runs: dict[tuple[str, int], list[TaskEvent]] = defaultdict(list)
    for event in events:
        runs[event.task_id, event.attempt].append(event)
    rows = [_row(run) for run in runs.values()]
    with connection.cursor() as cursor:
        cursor.execute(UPSERT, {name: [row[name] for row in rows] for name in rows[0]})


def answer(event: TaskEvent) -> str:
    """Return the mail server's answer, or the error if the run did not get one."""
    text = ""
    if event.state == TaskState.SUCCESS:
        text = receipt(event).answer
    elif event.error:
        text = event.error.message or event.error.type
    return storable_text(text, LONGEST_ANSWER)


def message_id(event: TaskEvent) -> str:
    """Return the Message-ID of a mail that was sent. Raises ValueError."""
    return receipt(event).message_id if event.state == TaskState.SUCCESS else ""


def uncertain(event: TaskEvent) -> bool:
    """Whether a mail may have been sent twice. Raises ValueError."""
    return event.state == TaskState.SUCCESS and receipt(event).uncertain


def receipt(event: TaskEvent) -> MailReceipt:
    """Decode the result of a mail that was sent. Raises ValueError."""
    try:
        return msgspec.convert(event.result, MailReceipt)
    except msgspec.ValidationError as error:
        raise ValueError(f"no receipt of a mail: {error}") from error


def _row(run: list[TaskEvent]) -> dict[str, Any]:
    by_phase = sorted(run, key=phase, reverse=True)
    last = by_phase[0]
    return {
        "email_id": last.task_id,
        "number": last.attempt,
        "phase": phase(last),
        "at": min(event.started_at or event.at for event in run),
        "worker": next((event.worker for event in by_phase if event.worker), ""),
        "outcome": OUTCOMES[last.state].value,
        "answer": answer(last),
    }
