"""Failed mails that an operator sends again: one, several, or by filter."""

from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from web.accounts.tests.factories import PASSWORD, make_user, permit
from web.mail import repeating
from web.mail.models import Email
from web.mail.tests.factories import arrive, event, make_mail
from web.messaging.models import OutboxMessage

pytestmark = pytest.mark.django_db
RELAY = "554 5.7.1 Relay access denied"


def failed(**changes: object) -> Email:
    email = make_mail()
    arrive(event(email.id, "FAILURE", 3))
    Email.objects.filter(pk=email.pk).update(**changes)
    return email


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("mails", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def test_a_failed_mail_is_sent_again_with_what_was_in_it() -> None:
    email = failed()
    assert repeating.send_again([email.pk], "ops") == 1
    email.refresh_from_db()
    message = OutboxMessage.objects.get()
    assert (email.state, email.answer, email.failed_at) == ("queued", "", None)
    assert (message.task_id, message.headers["retries"]) == (email.pk, 3)
    assert b"planted-key" in bytes(message.body)
    arrive(event(email.id, "SUCCESS", 4))
    email.refresh_from_db()
    assert email.state == "sent"


def test_what_has_not_failed_or_is_erased_is_left() -> None:
    waiting, erased = make_mail(), failed(context=None)
    assert repeating.send_again([waiting.pk, erased.pk, uuid4()], "ops") == 0
    assert not OutboxMessage.objects.exists()


def test_one_whose_message_cannot_be_made_is_left_and_stops_no_other() -> None:
    bad, good = failed(context={"days": 3}), failed()
    assert repeating.send_again([bad.pk, good.pk], "ops") == 1
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, good.state) == ("failed", "queued")
    assert "its message cannot be made: mailer.send_email: Expected `str`" in bad.answer


def test_many_are_sent_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeating, "BATCH", 2)
    mails = [failed() for _ in range(5)]
    assert repeating.send_again([email.pk for email in mails], "ops") == 5
    assert OutboxMessage.objects.count() == 5


def test_the_command_chooses_by_answer() -> None:
    denied, other = failed(answer=RELAY), failed(answer="550 5.1.1 No such user")
    assert run("list", "--state", "failed", "--answer", "relay access").count(RELAY) == 1
    assert "1 mails are queued" in run("send_again", "--answer", "relay access", "--yes")
    denied.refresh_from_db()
    other.refresh_from_db()
    assert (denied.state, other.state) == ("queued", "failed")
    assert "planted-key" not in run("list")


@pytest.mark.parametrize("arguments", [(), ("--all", str(uuid4()))])
def test_the_command_wants_ids_or_a_filter(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="give either ids, or") as caught:
        run("send_again", *arguments)
    assert caught.value.returncode == 2


def test_the_command_tells_what_it_left() -> None:
    email = failed()
    with pytest.raises(CommandError, match="1 were left"):
        run("send_again", str(email.pk), str(uuid4()))
    with pytest.raises(CommandError, match="none of the mails' ids"):
        run("send_again", "seventeen")


@pytest.mark.parametrize(("codename", "state"), [("change_email", "queued"), ("", "failed")])
def test_staff_with_the_permission_send_again_in_the_admin(codename: str, state: str) -> None:
    email = failed()
    user = permit(
        make_user("clerk@example.org", staff=True), "view_email", *filter(None, [codename])
    )
    browser = Client()
    assert browser.login(email=user.email, password=PASSWORD)
    listing = reverse("admin:mail_email_changelist")
    form = {"action": "send_again", "_selected_action": [email.pk]}
    page = browser.post(listing, form, follow=True).content.decode()
    email.refresh_from_db()
    assert email.state == state
    assert ("1 mails are queued again" in page) == (state == "queued")
