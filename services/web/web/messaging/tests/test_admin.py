"""Operators list, read, replay and discard in the admin; what is secret stays hidden."""

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.urls import reverse

from contracts.tasks import SEND_EMAIL, SendEmail
from web.accounts.models import User
from web.jobs.tests.factories import make_computation, make_job, make_user
from web.messaging import dead_letters, outbox
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.tests.factories import corpse, save

pytestmark = pytest.mark.django_db
LETTERS = reverse("admin:messaging_deadletter_changelist")
KEY = "planted-secret"


@pytest.fixture
def operator() -> User:
    return User.objects.create_superuser("operator@example.org", "correct horse battery")


@pytest.fixture
def browser(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def letter(operator: User) -> DeadLetter:
    return save(corpse(make_job(operator, state="failed").id))


def act(browser: Client, action: str, letter: DeadLetter) -> str:
    answer = browser.post(LETTERS, {"action": action, "_selected_action": letter.pk}, follow=True)
    return answer.content.decode()


def send_mail() -> None:
    mail = SendEmail(email_id="1", template="welcome", recipient="ada@example.org",
                     context={"verification_key": KEY})  # fmt: skip
    with transaction.atomic():
        outbox.send(SEND_EMAIL, mail, task_id=make_job(make_user()).id)


def test_everything_is_listed_and_nothing_can_be_added(browser: Client, letter: DeadLetter) -> None:
    make_computation()
    send_mail()
    for model in ("messaging_outboxmessage", "messaging_deadletter", "jobs_job",
                  "jobs_computation", "mail_email"):  # fmt: skip
        listing = reverse(f"admin:{model}_changelist")
        assert browser.get(listing).status_code == 200, model
        assert browser.get(listing, {"q": "abc"}).status_code == 200, model
        assert browser.get(reverse(f"admin:{model}_add")).status_code == 403, model


def test_a_message_shows_what_its_contract_lets_it(browser: Client) -> None:
    send_mail()
    message = OutboxMessage.objects.get()
    body = bytes(message.body)
    dead_letters.park(message, "returned", "NO_ROUTE")
    for model, row in (("outboxmessage", message), ("deadletter", DeadLetter.objects.get())):
        page = browser.get(reverse(f"admin:messaging_{model}_change", args=[row.pk]))
        assert page.status_code == 200
        assert KEY not in page.content.decode()
        assert "ada@example.org" not in page.content.decode()
    assert "welcome" in page.content.decode()
    assert KEY.encode() in body


def test_a_letter_is_replayed_in_the_name_of_who_did_it(
    browser: Client, operator: User, letter: DeadLetter
) -> None:
    assert "1 replayed" in act(browser, "replay", letter)
    letter.refresh_from_db()
    assert (letter.state, letter.handled_by) == ("replayed", operator.email)
    assert OutboxMessage.objects.get().task_id == letter.task_id
    assert "already been replayed" in act(browser, "replay", letter)


def test_a_letter_is_discarded(browser: Client, letter: DeadLetter) -> None:
    assert "1 discarded" in act(browser, "discard", letter)
    letter.refresh_from_db()
    assert letter.state == "discarded"
    assert not OutboxMessage.objects.exists()


def test_whoever_may_only_look_cannot_replay(letter: DeadLetter) -> None:
    viewer = User.objects.create_user("viewer@example.org", "correct horse battery", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_deadletter"))
    browser = Client()
    browser.force_login(viewer)
    assert browser.get(LETTERS).status_code == 200
    act(browser, "replay", letter)
    letter.refresh_from_db()
    assert letter.state == "waiting"
