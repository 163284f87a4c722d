"""Operators list, read, replay and discard in the admin; what is secret stays hidden."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import AutoField, BinaryField, JSONField, Model
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from structlog.testing import capture_logs

from contracts.tasks import SEND_EMAIL, SendEmail
from web.accounts.models import User
from web.jobs.models import Job
from web.jobs.tests.factories import make_computation, make_job, make_user
from web.mail.models import Email
from web.mail.tests.factories import make_mail
from web.messaging.letters import dead_letters, making, redaction
from web.messaging.models import DeadLetter, OutboxMessage, ProcessLife
from web.messaging.outbox import outbox
from web.messaging.reasons import Reason
from web.messaging.tests.factories import dead_message, save
from web.messaging.tests.staffing import report

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
    return save(dead_message(make_job(operator, state="failed").id))


def act(browser: Client, action: str, letter: DeadLetter) -> str:
    answer = browser.post(LETTERS, {"action": action, "_selected_action": letter.pk}, follow=True)
    return answer.content.decode()


def send_mail(owner: User | None = None) -> None:
    mail = SendEmail(email_id="1", template="welcome", recipient="ada@example.org",
                     context={"verification_key": KEY})  # fmt: skip
    with transaction.atomic():
        outbox.send(SEND_EMAIL, mail, task_id=make_job(owner or make_user()).id)


def test_everything_is_listed_and_nothing_can_be_added(browser: Client, letter: DeadLetter) -> None:
    make_computation()
    send_mail()
    report("compute")
    for model in ("messaging_outboxmessage", "messaging_deadletter", "messaging_worker",
                  "jobs_job", "jobs_computation", "mail_email"):  # fmt: skip
        listing = reverse(f"admin:{model}_changelist")
        assert browser.get(listing).status_code == 200, model
        assert browser.get(listing, {"q": "abc"}).status_code == 200, model
        assert browser.get(reverse(f"admin:{model}_add")).status_code == 403, model


def test_a_message_shows_what_its_contract_lets_it(browser: Client) -> None:
    send_mail()
    message = OutboxMessage.objects.get()
    body = bytes(message.body)
    dead_letters.park(message, Reason.RETURNED, "NO_ROUTE")
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


def test_all_that_a_filter_shows_are_dealt_with_at_once(
    browser: Client, operator: User, letter: DeadLetter
) -> None:
    bad = [dead_message(uuid4(), b"{}") for _ in range(250)]
    dead_letters.store([making.of_arrival(dead) for dead in bad])
    chosen = DeadLetter.objects.filter(reason="malformed")
    answer = browser.post(
        f"{LETTERS}?reason=malformed",
        {"action": "discard", "select_across": "1", "_selected_action": chosen[0].pk},
        follow=True,
    )
    assert "250 discarded" in answer.content.decode()
    assert set(chosen.values_list("state", "handled_by")) == {("discarded", operator.email)}
    letter.refresh_from_db()
    assert letter.state == "waiting"


def test_letters_are_found_by_their_job_and_lead_to_it(browser: Client, letter: DeadLetter) -> None:
    job_page = reverse("admin:jobs_job_change", args=[letter.task_id])
    letter_page = reverse("admin:messaging_deadletter_change", args=[letter.pk])
    assert letter_page in browser.get(LETTERS, {"q": str(letter.task_id)}).content.decode()
    assert job_page in browser.get(letter_page).content.decode()
    assert letter_page in browser.get(job_page).content.decode()


def test_a_mail_leads_to_its_letter(browser: Client) -> None:
    mail = make_mail(state="failed")
    letter = save(dead_message(mail.id, b"[[], {}, {}]", task="mailer.send_email"))
    page = browser.get(reverse("admin:mail_email_change", args=[mail.pk])).content.decode()
    assert reverse("admin:messaging_deadletter_change", args=[letter.pk]) in page


@pytest.mark.parametrize("command", [False, True], ids=["admin", "command"])
def test_a_letter_of_a_model_without_a_page_in_the_admin_is_shown(
    browser: Client, letter: DeadLetter, monkeypatch: pytest.MonkeyPatch, command: bool
) -> None:
    life = ProcessLife.objects.create(process="x", node="y", began=datetime.now(UTC))
    monkeypatch.setattr(redaction, "subject", lambda _letter: life)
    if command:
        output = StringIO()
        call_command("dead_letters", "show", str(letter.pk), stdout=output)
        assert '"page": null' in output.getvalue()
    else:
        page = browser.get(reverse("admin:messaging_deadletter_change", args=[letter.pk]))
        assert page.status_code == 200
        assert "x y" in page.content.decode()


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_each_list_has_an_order_that_means_something(
    browser: Client, operator: User, model: type[Model], rf: RequestFactory
) -> None:
    shown = admin.site._registry[model]
    request = rf.get("/")
    request.user = operator
    changes = shown.get_changelist_instance(request)
    first = changes.get_queryset(request).query.order_by[0]
    counted = isinstance(model._meta.pk, AutoField)  # else keys may be random
    assert counted or str(first).removeprefix("-") not in ("pk", "id")


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_no_list_loads_what_may_be_large_and_is_not_shown(
    operator: User, model: type[Model], rf: RequestFactory
) -> None:
    shown = admin.site._registry[model]
    request = rf.get("/")
    request.user = operator
    changes = shown.get_changelist_instance(request)
    selected, _, _ = str(changes.get_queryset(request).query).partition(" FROM ")
    large = {
        field.name
        for field in model._meta.concrete_fields
        if isinstance(field, JSONField | BinaryField)
        or field.name in ("traceback", "error_message")
    }
    assert f'"{model._meta.pk.column}"' in selected
    assert [name for name in large - {*shown.list_display} if f'"{name}"' in selected] == []


def test_a_list_takes_no_query_for_each_row_and_a_page_shows_what_the_list_does_not(
    browser: Client, operator: User
) -> None:
    taken = []
    for number in range(3):
        job = make_job(operator, arguments={"number": f"shown {number}"})
        save(dead_message(make_mail().id))
        send_mail(operator)
        with CaptureQueriesContext(connection) as queries:
            for name in ("jobs_job", "mail_email", "messaging_outboxmessage",
                         "messaging_deadletter"):  # fmt: skip
                assert browser.get(reverse(f"admin:{name}_changelist")).status_code == 200
        taken.append(len(queries))
        page = browser.get(reverse("admin:jobs_job_change", args=[job.pk]))
        assert f"shown {number}" in page.content.decode()
    assert taken[2] == taken[1]


def test_jobs_and_mails_are_listed_newest_first_by_an_index(
    browser: Client, operator: User
) -> None:
    now = datetime.now(UTC)
    jobs = [make_job(operator, created_at=now - timedelta(days=day)) for day in (1, 3, 0, 2)]
    page = browser.get(reverse("admin:jobs_job_changelist")).content.decode()
    listed = sorted(jobs, key=lambda job: page.index(str(job.id)))
    assert listed == sorted(jobs, key=lambda job: job.created_at, reverse=True)
    newest = ("-created_at", "-id")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    for rows, index in (
        (Job, "job_newest"), (Email, "email_newest"), (DeadLetter, "dead_letter_newest")
    ):  # fmt: skip
        assert index in rows._default_manager.order_by(*newest)[:100].explain()


def test_a_list_that_an_address_spoils_is_logged_with_the_cause(browser: Client) -> None:
    with capture_logs() as lines:
        assert browser.get(LETTERS, {"created_at__year": "0"}).status_code == 400
    (told,) = [line for line in lines if line["log_level"] == "warning"]
    assert told["event"] == "refused for a value in the address"
    assert isinstance(told["exc_info"], ValueError | OverflowError)


def test_a_list_that_fails_by_itself_is_no_fault_of_the_address(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("ours")

    monkeypatch.setattr(admin.site._registry[DeadLetter], "get_list_display", fail)
    with pytest.raises(ValueError, match="ours"):
        browser.get(LETTERS)


def test_headers_that_are_not_ours_are_not_shown(browser: Client, operator: User) -> None:
    letter = save(dead_message(make_job(operator).id, kwargsrepr=KEY, outbox_id="17"))
    page = browser.get(reverse("admin:messaging_deadletter_change", args=[letter.pk]))
    assert KEY not in page.content.decode()
    assert "outbox_id" in page.content.decode()


def test_whoever_may_only_look_cannot_replay(letter: DeadLetter) -> None:
    viewer = User.objects.create_user("viewer@example.org", "correct horse battery", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_deadletter"))
    browser = Client()
    browser.force_login(viewer)
    assert browser.get(LETTERS).status_code == 200
    act(browser, "replay", letter)
    letter.refresh_from_db()
    assert letter.state == "waiting"
