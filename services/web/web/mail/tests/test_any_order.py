"""Results in any order, with any repetition, in any batches, end in the right state."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.events import TaskEvent, TaskState
from web.mail.attempts import OUTCOMES
from web.mail.models import Email
from web.mail.results import STATES
from web.mail.tests.factories import MAIL, answer_of, arrive, event, make_mail
from web.messaging.models import OutboxMessage
from web.tracking.rules import FIRST_ANSWER, phase

ATTEMPTS = st.integers(1, 4)
KINDS = st.sampled_from(
    [
        ("STARTED", False), ("PROGRESS", False), ("RETRY", False), ("REVOKED", False),
        ("FAILURE", False), ("FAILURE", True), ("SUCCESS", False),
    ]
)  # fmt: skip
WHICH = st.integers(0, 1)
HISTORY = st.lists(st.lists(st.tuples(WHICH, KINDS, ATTEMPTS), min_size=1, max_size=6), max_size=5)


@pytest.mark.django_db
@settings(max_examples=100)
@given(batches=HISTORY)
def test_results_in_any_order_end_in_the_right_state(
    batches: list[list[tuple[int, tuple[str, bool], int]]],
) -> None:
    mails = [make_mail().id, make_mail().id]
    seen: dict[UUID, list[TaskEvent]] = {mail: [] for mail in mails}
    for batch in batches:
        events = [
            event(mails[which], state, attempt, dead=dead)
            for which, (state, dead), attempt in batch
        ]
        arrive(*events)
        for one in events:
            seen[UUID(one.task_id)].append(one)
    for mail, events in seen.items():
        check_mail(Email.objects.get(pk=mail), events)
        check_history(Email.objects.get(pk=mail), events)


def check_mail(email: Email, events: list[TaskEvent]) -> None:
    assert_one_message_per_retry(email)
    successes = [one for one in events if one.state == TaskState.SUCCESS]
    if successes:
        assert email.state == "sent"
        assert email.answer in {answer_of(one.attempt, phase(one)) for one in successes}
        assert (email.context, email.failed_at) == (None, None)
        assert email.sent_at is not None
        return
    assert (email.context, email.sent_at) == (MAIL.context(), None)
    if not events:
        assert email.state == "queued"
        return
    last = max(events, key=lambda one: (phase(one) >= FIRST_ANSWER, one.attempt, phase(one)))
    assert (email.state, email.attempt, email.phase) == (
        STATES[last.state], last.attempt, phase(last)
    )  # fmt: skip
    assert (email.failed_at is not None) == (email.state == "failed")
    assert (email.next_attempt_at is not None) == (email.state == "retrying")
    if email.state == "retrying":
        message = OutboxMessage.objects.get(task_id=email.id, headers__retries=email.attempt)
        assert message.due_at == email.next_attempt_at


def assert_one_message_per_retry(email: Email) -> None:
    retries = [
        message.headers["retries"] for message in OutboxMessage.objects.filter(task_id=email.id)
    ]
    assert len(retries) == len(set(retries))


def check_history(email: Email, events: list[TaskEvent]) -> None:
    expected = {}
    for number in {one.attempt for one in events}:
        of_the_run = [one for one in events if one.attempt == number]
        last = max(of_the_run, key=phase)
        answered = last.state not in (TaskState.STARTED, TaskState.PROGRESS, TaskState.REVOKED)
        expected[number] = (
            OUTCOMES[last.state].value,
            answer_of(number, phase(last)) if answered else "",
            next((one.worker for one in of_the_run if one.worker), ""),
            phase(last),
        )
    shown = {
        row.number: (row.outcome, row.answer, row.worker, row.phase) for row in email.attempts.all()
    }
    assert shown == expected
