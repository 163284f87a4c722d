"""Handing a mail over to the mailer."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.db import transaction

from contracts.errors import MalformedMessageError
from contracts.mails import Welcome
from contracts.tasks import SEND_EMAIL, SendEmail
from web.accounts.tests.factories import make_user
from web.mail import sending
from web.mail.models import Email
from web.messaging.models import OutboxMessage
from web.messaging.outbox.outbox import OutsideTransactionError


@pytest.mark.django_db
def test_the_message_asks_for_the_mail_by_the_id_of_its_row() -> None:
    email = sending.queue(Welcome(login_url="x"), "ada@example.org", user=make_user())
    message = OutboxMessage.objects.get()
    _, arguments, _ = msgspec.json.decode(message.body)
    assert SEND_EMAIL.decode(arguments) == SendEmail(
        email_id=str(email.id),
        template="welcome",
        recipient="ada@example.org",
        context={"login_url": "x"},
    )
    assert message.task_id == email.id
    assert message.headers["retries"] == 0


@pytest.mark.django_db
def test_however_often_it_is_asked_for_it_is_known_since_when() -> None:
    email = sending.queue(Welcome(), "ada@example.org")
    email.refresh_from_db()
    sending.dispatch(email)
    first, again = OutboxMessage.objects.order_by("pk").values_list("headers", flat=True)
    assert again["accepted_at"] == email.created_at.isoformat()
    since = datetime.fromisoformat(first["accepted_at"])
    assert abs(since - email.created_at) < timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
def test_a_mail_outside_of_a_transaction_is_refused() -> None:
    with pytest.raises(OutsideTransactionError):
        sending.queue(Welcome(), "ada@example.org")
    assert not Email.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_a_mail_that_cannot_be_sent_nothing_stays_even_if_its_error_is_caught() -> None:
    wrong: Any = 3
    with (
        transaction.atomic(),
        pytest.raises(MalformedMessageError, match=r"'welcome'.*\$\.login_url"),
    ):
        sending.queue(Welcome(login_url=wrong), "ada@example.org")
    assert not Email.objects.exists()
    assert not OutboxMessage.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_mail_goes_away_with_its_transaction() -> None:
    with transaction.atomic():
        sending.queue(Welcome(), "ada@example.org")
        transaction.set_rollback(True)
    assert not Email.objects.exists()
    assert not OutboxMessage.objects.exists()
