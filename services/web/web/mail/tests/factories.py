"""Mails and the mailer's events for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from contracts.events import TaskError, TaskEvent, TaskState
from contracts.mails import VerifyEmail
from contracts.tasks import SEND_EMAIL
from web.accounts.models import User
from web.mail import sending
from web.mail.models import Email
from web.mail.results import MAILS
from web.messaging.models import OutboxMessage
from web.tracking.rules import DeadLetterEvent, phase

BEGINNING = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
KEY = "planted-key"
MAIL = VerifyEmail(
    verification_url=f"https://example.org/?key={KEY}", verification_key=KEY, expires_in_days=3
)


def make_mail(user: User | None = None, **changes: Any) -> Email:
    """Queue a mail in the past, as if the relay had published its message already."""
    with transaction.atomic():
        email = sending.queue(MAIL, "ada@example.org", user=user)
    OutboxMessage.objects.filter(task_id=email.id).delete()
    Email.objects.filter(pk=email.pk).update(**{"created_at": BEGINNING} | changes)
    email.refresh_from_db()
    return email


def event(
    email_id: UUID, state: TaskState | str, attempt: int = 1, *, dead: bool = False
) -> TaskEvent:
    """Make an event of which every field follows from the arguments."""
    kind = DeadLetterEvent if dead else TaskEvent
    state = TaskState(state)
    made = kind(
        task_id=str(email_id),
        task=SEND_EMAIL.name,
        state=state,
        attempt=attempt,
        worker="" if dead else f"mailer-{attempt}@host",
        at=BEGINNING + timedelta(minutes=attempt),
        started_at=None if dead else BEGINNING + timedelta(minutes=attempt),
        error=None,
        result=None,
    )
    return _answered(made)


def answer_of(attempt: int, event_phase: int) -> str:
    return f"answer {attempt}.{event_phase}"


def _answered(made: TaskEvent) -> TaskEvent:
    text = answer_of(made.attempt, phase(made))
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    if made.state == TaskState.SUCCESS:
        fields["result"] = {"message_id": f"<{made.task_id}@host>", "answer": text}
    elif made.state in (TaskState.RETRY, TaskState.FAILURE):
        fields["error"] = TaskError("SMTPError", text)
    return type(made)(**fields)


def arrive(*events: TaskEvent) -> None:
    """Apply events as one batch of the collector."""
    with transaction.atomic():
        MAILS.apply(events)
