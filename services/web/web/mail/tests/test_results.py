"""What the mailer answers, and what becomes of a mail then."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from contracts.events import TaskError, TaskEvent
from contracts.tasks import SEND_EMAIL
from web.mail import results
from web.mail.models import Email, EmailAttempt
from web.mail.results import MAILS
from web.mail.tests.factories import BEGINNING, arrive, event, make_mail
from web.messaging.models import OutboxMessage
from web.tracking import registry

pytestmark = pytest.mark.django_db


def deferred(email: Email, attempt: int = 1) -> Email:
    arrive(event(email.id, "RETRY", attempt))
    email.refresh_from_db()
    return email


def changed(one: TaskEvent, **fields: Any) -> TaskEvent:
    return msgspec.structs.replace(one, **fields)


def test_the_mailers_results_come_here() -> None:
    assert registry.find(SEND_EMAIL.name) is MAILS


def test_a_mail_that_was_sent_keeps_the_servers_answer_and_forgets_its_contents() -> None:
    email = make_mail()
    arrive(event(email.id, "STARTED"))
    assert Email.objects.get().state == "sending"
    sent = event(email.id, "SUCCESS")
    receipt = {"message_id": "<1@host>", "answer": "250 queued as 7", "uncertain": True}
    arrive(changed(sent, result=receipt))
    email = Email.objects.get()
    assert (email.state, email.answer, email.message_id) == ("sent", "250 queued as 7", "<1@host>")
    assert (email.uncertain, email.context, email.sent_at) == (True, None, sent.at)


def test_a_deferred_mail_goes_back_into_the_outbox_with_a_later_time(settings: Settings) -> None:
    settings.MAIL_RETRY_FIRST = 100
    email = deferred(make_mail())
    assert (email.state, email.answer) == ("retrying", "answer 1.4")
    assert email.next_attempt_at is not None
    wait = (email.next_attempt_at - timezone.now()).total_seconds()
    assert 40 < wait <= 100
    message = OutboxMessage.objects.get()
    assert (message.task_id, message.due_at) == (email.id, email.next_attempt_at)
    assert message.headers["retries"] == 1
    assert b"planted-key" in bytes(message.body)


def test_a_postponed_mail_is_sent_at_the_time_that_its_mailer_says_however_late() -> None:
    email = make_mail(queued_at=timezone.now() - timedelta(days=2))
    before = timezone.now()
    arrive(changed(event(email.id, "RETRY", 12), again_in=3600.0))
    email.refresh_from_db()
    assert (email.state, email.answer) == ("retrying", "answer 12.4")
    assert email.next_attempt_at is not None
    assert timedelta(0) <= email.next_attempt_at - before - timedelta(hours=1)
    assert email.next_attempt_at <= timezone.now() + timedelta(hours=1)
    assert OutboxMessage.objects.get().due_at == email.next_attempt_at


def test_a_repeated_answer_sends_no_second_message() -> None:
    email = make_mail()
    for _ in range(3):
        deferred(email)
    assert OutboxMessage.objects.count() == 1


def test_a_mail_is_given_up_when_its_time_is_over() -> None:
    email = make_mail(queued_at=timezone.now() - timedelta(hours=23, minutes=59, seconds=59))
    email = deferred(email, 12)
    assert email.state == "failed"
    over = "given up, attempts end 1 day, 0:00:00 after the request; last answer: answer 12.4"
    assert email.answer == over
    assert (email.next_attempt_at, email.failed_at is None) == (None, False)
    assert not OutboxMessage.objects.exists()


def test_a_mail_is_not_given_up_while_there_is_time() -> None:
    email = make_mail(queued_at=timezone.now() - timedelta(hours=22))
    assert deferred(email, 12).state == "retrying"


def test_a_refused_mail_has_failed_for_good() -> None:
    email = make_mail()
    refused = event(email.id, "FAILURE")
    arrive(changed(refused, error=TaskError("Refused", "550 no such user")))
    email.refresh_from_db()
    assert (email.state, email.answer) == ("failed", "550 no such user")
    assert email.failed_at is not None
    assert not OutboxMessage.objects.exists()


def test_a_mail_whose_workers_crashed_has_failed_after_all_of_their_attempts() -> None:
    email = make_mail()
    starts = [event(email.id, "STARTED", number) for number in (1, 2, 3, 4)]
    arrive(*starts, event(email.id, "FAILURE", 4, dead=True))
    email.refresh_from_db()
    assert email.state == "failed"
    rows = EmailAttempt.objects.filter(email=email)
    assert [row.outcome for row in rows] == ["started", "started", "started", "failed"]
    assert rows[3].worker == "mailer-4@host"


def test_the_success_of_a_redelivered_run_counts_after_a_failure() -> None:
    email = make_mail()
    arrive(event(email.id, "FAILURE"), event(email.id, "FAILURE", dead=True))
    arrive(event(email.id, "SUCCESS", 2))
    email.refresh_from_db()
    assert (email.state, email.failed_at) == ("sent", None)


def test_nothing_takes_a_sent_mail_back() -> None:
    email = make_mail()
    arrive(event(email.id, "SUCCESS"))
    arrive(event(email.id, "RETRY", 2), event(email.id, "FAILURE", 3))
    email.refresh_from_db()
    assert (email.state, email.attempt) == ("sent", 1)
    assert not OutboxMessage.objects.exists()


def test_results_of_unknown_mails_stop_no_others() -> None:
    email = make_mail()
    arrive(event(uuid4(), "SUCCESS"), event(email.id, "SUCCESS"), event(uuid4(), "RETRY"))
    assert Email.objects.get().state == "sent"
    assert EmailAttempt.objects.count() == 1


def test_a_result_that_is_no_receipt_is_refused_for_the_collector_to_set_aside() -> None:
    email = make_mail()
    with pytest.raises(ValueError, match="no receipt of a mail"):
        arrive(changed(event(email.id, "SUCCESS"), result={"answer": 7}))


def test_an_answer_that_the_database_cannot_hold_is_mended() -> None:
    email = make_mail()
    arrive(changed(event(email.id, "FAILURE"), error=TaskError("Refused", "550\0 " + "x" * 9000)))
    email.refresh_from_db()
    assert email.answer.startswith(r"550\x00 x")
    assert len(email.answer) == 2000


def test_a_batch_costs_as_many_statements_as_a_single_result() -> None:
    def queries(count: int) -> int:
        mails = [make_mail() for _ in range(count)]
        with CaptureQueriesContext(connection) as captured:
            arrive(*(event(mail.id, "STARTED") for mail in mails))
            arrive(*(event(mail.id, "SUCCESS") for mail in mails))
        return len(captured)

    assert queries(1) == queries(50)
    assert not Email.objects.exclude(state="sent").exists()


def test_an_operator_can_repeat_a_failed_mail() -> None:
    email = make_mail()
    arrive(event(email.id, "STARTED"), event(email.id, "FAILURE", 4, dead=True))
    assert MAILS.replay([email.id]) == {email.id: 4}
    email.refresh_from_db()
    assert (email.state, email.answer, email.failed_at) == ("queued", "", None)
    email = deferred(email, 5)  # a whole day of attempts begins anew
    assert email.state == "retrying"
    arrive(event(email.id, "SUCCESS", 6))
    email.refresh_from_db()
    assert email.state == "sent"


def test_a_mail_that_was_sent_or_is_gone_is_not_repeated() -> None:
    email = make_mail()
    arrive(event(email.id, "SUCCESS"))
    assert MAILS.replay([email.id, uuid4()]) == {}
    assert Email.objects.get().state == "sent"


def test_the_contents_of_a_failed_mail_are_erased_when_it_is_no_longer_repeated() -> None:
    old, recent = make_mail(), make_mail()
    arrive(event(old.id, "FAILURE"), event(recent.id, "FAILURE"))
    Email.objects.update(failed_at=timezone.now())
    long_ago = timezone.now() - results.REPEATABLE_FOR - timedelta(hours=1)
    Email.objects.filter(pk=old.pk).update(failed_at=long_ago)
    arrive(event(make_mail().id, "STARTED"))
    assert Email.objects.get(pk=old.pk).context is None
    assert Email.objects.get(pk=recent.pk).context is not None


def test_a_mail_without_contents_is_not_tried_again() -> None:
    email = deferred(make_mail(context=None))
    assert email.state == "failed"
    assert "its contents have been erased" in email.answer
    assert not OutboxMessage.objects.exists()


def test_a_mail_whose_message_got_lost_without_contents_is_given_up() -> None:
    kept, erased = make_mail(), make_mail(context=None)  # repeated by an operator after days
    MAILS.publish_again([kept.id, erased.id])
    assert OutboxMessage.objects.get().task_id == kept.id
    erased.refresh_from_db()
    assert (erased.state, erased.failed_at is None) == ("failed", False)
    assert erased.answer == "its message got lost; its contents have been erased"


def test_an_attempt_shows_when_it_began() -> None:
    email = make_mail()
    arrive(event(email.id, "SUCCESS", 2))
    row = EmailAttempt.objects.get()
    assert (row.number, row.at) == (2, BEGINNING + timedelta(minutes=2))
