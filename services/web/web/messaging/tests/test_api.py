"""The operators' API: staff read and repair as their permissions say, nobody sees secrets."""

from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone
from rest_framework.test import APIClient

from web.accounts.tests.factories import client_of, make_user, permit
from web.jobs.models import Job
from web.jobs.tests.factories import make_job
from web.messaging.broker.arrivals import Arrival
from web.messaging.letters import repair
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.tests.factories import dead_message, save

pytestmark = pytest.mark.django_db
LETTERS = "/api/v1/ops/dead-letters"


@pytest.fixture
def operator() -> APIClient:
    return client_of(permit(make_user("operator@example.org", staff=True), "change_deadletter"))


@pytest.fixture
def job() -> Job:
    return make_job(make_user("owner@example.org"), state="failed", attempt=1, phase=3)


def listed(client: APIClient, **query: Any) -> list[int]:
    answer = client.get(LETTERS, query)
    assert answer.status_code == 200, answer.json()
    return [letter["id"] for letter in answer.json()["results"]]


def some() -> dict[str, DeadLetter]:
    """Make a letter of each of three kinds."""
    return {
        "rejected": save(dead_message(uuid4())),
        "malformed": save(dead_message(uuid4(), b"{}", task="mailer.send_email")),
        "unrouted": save(Arrival({}, {}, b"{}", "k", "warren.tasks")),
    }


def test_letters_are_listed_newest_first_and_filtered(operator: APIClient) -> None:
    letters = some()
    rejected, malformed, unrouted = (letter.pk for letter in letters.values())
    repair.discard([rejected], "ops")
    DeadLetter.objects.filter(pk=unrouted).update(created_at=timezone.now() - timedelta(days=2))
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    assert listed(operator) == [malformed, rejected, unrouted]
    assert listed(operator, state="waiting") == [malformed, unrouted]
    assert listed(operator, state=["waiting", "discarded"], queue="compute") == [
        malformed, rejected,
    ]  # fmt: skip
    assert listed(operator, reason="unrouted") == [unrouted]
    assert listed(operator, task="mailer.send_email") == [malformed]
    assert listed(operator, task_id=str(letters["rejected"].task_id)) == [rejected]
    assert listed(operator, created_after=yesterday) == [malformed, rejected]
    assert listed(operator, created_before=yesterday) == [unrouted]


@pytest.mark.parametrize(
    "query", [{"state": "lost"}, {"task_id": "5"}, {"created_after": "then"}, {"reason": "a\0"}]
)
def test_a_wrong_filter_is_refused(operator: APIClient, query: dict[str, str]) -> None:
    assert operator.get(LETTERS, query).status_code == 400


def pages(client: APIClient, direction: str, address: str) -> Iterator[list[int]]:
    page = client.get(address).json()
    while True:
        yield [letter["id"] for letter in page["results"]]
        if not page[direction]:
            return
        page = client.get(page[direction]).json()


def test_pages_of_letters_of_one_moment_hold_each_once_both_ways(operator: APIClient) -> None:
    letters = [save(dead_message(uuid4())).pk for _ in range(7)]
    DeadLetter.objects.update(created_at=timezone.now())
    newest_first = sorted(letters, reverse=True)
    forth = list(pages(operator, "next", f"{LETTERS}?page_size=3"))
    assert forth == [newest_first[:3], newest_first[3:6], newest_first[6:]]
    last = operator.get(f"{LETTERS}?page_size=3").json()["next"]
    last = operator.get(last).json()["next"]
    back = list(pages(operator, "previous", last))
    assert back == [newest_first[6:], newest_first[3:6], newest_first[:3]]


def test_page_by_page_all_can_be_discarded(operator: APIClient) -> None:
    for _ in range(8):
        save(dead_message(uuid4()))
    DeadLetter.objects.update(created_at=timezone.now())
    address: str | None = f"{LETTERS}?page_size=3&state=waiting"
    while address:
        page = operator.get(address).json()
        repair.discard([letter["id"] for letter in page["results"]], "ops")
        address = page["next"]
    assert not DeadLetter.objects.filter(state="waiting").exists()


CURSORS = [
    "n 0001-01-01T00:00:00+23:59 1", "n 9999-12-31T23:59:59-23:59 1", "n 2026-01-01T00:00:00 1",
    "n 2026-01-01T00:00:00+00:00 x", f"n 2026-01-01T00:00:00+00:00 {'9' * 41}", "n now 1",
    "x 2026-01-01T00:00:00+00:00 1", "n", "", "n  ", "\0",
]  # fmt: skip


@pytest.mark.parametrize("cursor", [*(b64encode(each.encode()).decode() for each in CURSORS), "é"])
def test_what_is_no_cursor_is_refused(operator: APIClient, cursor: str) -> None:
    answer = operator.get(LETTERS, {"cursor": cursor or "?"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "cursor")


@pytest.mark.parametrize("pk", ["1", "-1", "9" * 19, "9" * 40])
def test_a_cursor_may_point_to_what_is_not_there(operator: APIClient, pk: str) -> None:
    save(dead_message(uuid4()))
    cursor = b64encode(f"n 2126-01-01T00:00:00+00:00 {pk}".encode()).decode()
    answer = operator.get(LETTERS, {"cursor": cursor})
    assert (answer.status_code, len(answer.json()["results"])) == (200, 1)


def test_pages_follow_each_other(operator: APIClient) -> None:
    some()
    first = operator.get(LETTERS, {"page_size": 2}).json()
    second = operator.get(first["next"]).json()
    assert [len(page["results"]) for page in (first, second)] == [2, 1]
    assert second["next"] is None


def test_a_letter_is_shown_without_what_is_secret(operator: APIClient, job: Job) -> None:
    arguments = {"email_id": "1", "template": "welcome", "recipient": "ada@example.org",
                 "context": {"verification_key": "planted"}}  # fmt: skip
    letter = save(dead_message(job.id, [[], arguments, {}], argsrepr="planted"))
    letter.task = "mailer.send_email"
    letter.save()
    shown = operator.get(f"{LETTERS}/{letter.pk}").json()
    assert shown["arguments"]["template"] == "welcome"
    assert shown["arguments"]["context"] == shown["headers"]["argsrepr"] == "…"
    assert "planted" not in str(shown)
    assert "ada@example.org" not in str(shown)
    assert shown["body_size"] == len(letter.body)
    assert shown["deaths"] == [
        {"queue": "compute", "reason": "rejected", "count": 1, "time": "",
         "exchange": "warren.tasks", "routing_keys": []}
    ]  # fmt: skip


def test_a_letter_is_replayed_with_its_jobs_id_and_only_once(operator: APIClient, job: Job) -> None:
    letter = save(dead_message(job.id))
    answer = operator.post(f"{LETTERS}/{letter.pk}/replay")
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["state"], shown["handled_by"]) == ("replayed", "operator@example.org")
    assert (shown["arguments"], shown["body_size"]) == (None, 0)
    assert (shown["subject"]["id"], shown["subject"]["state"]) == (str(job.id), "queued")
    assert OutboxMessage.objects.get().task_id == job.id
    again = operator.post(f"{LETTERS}/{letter.pk}/replay")
    assert (again.status_code, again.json()["code"]) == (409, "dead_letter_handled")
    assert again["Content-Type"] == "application/problem+json"
    assert again.json()["type"].endswith("/problems#dead_letter_handled")
    assert OutboxMessage.objects.count() == 1


def test_what_cannot_be_replayed_is_told_by_code(operator: APIClient) -> None:
    letter = save(dead_message(uuid4()))
    refused = operator.post(f"{LETTERS}/{letter.pk}/replay")
    assert (refused.status_code, refused.json()["code"]) == (409, "dead_letter_not_replayable")
    discarded = operator.post(f"{LETTERS}/{letter.pk}/discard").json()
    assert (discarded["state"], discarded["handled_by"]) == ("discarded", "operator@example.org")


@pytest.mark.parametrize("address", ["/999", "/999/replay", "/999/discard", "/abc", "/" + "9" * 40])
def test_what_does_not_exist_is_not_found(operator: APIClient, address: str) -> None:
    method = operator.post if address.count("/") == 2 else operator.get
    answer = method(LETTERS + address)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_several_are_replayed_and_each_that_is_not_is_named(operator: APIClient, job: Job) -> None:
    good, gone = save(dead_message(job.id)), save(dead_message(uuid4()))
    answer = operator.post(f"{LETTERS}/replay", {"ids": [good.pk, gone.pk, 999, good.pk]})
    assert answer.status_code == 200
    report = answer.json()
    assert (report["done"], report["refused"], report["remaining"]) == (1, 2, 0)
    codes = {refusal["id"]: refusal["code"] for refusal in report["refusals"]}
    assert codes == {gone.pk: "dead_letter_not_replayable", 999: "not_found"}


def test_all_of_a_reason_and_task_are_dealt_with(operator: APIClient) -> None:
    letters = some()
    save(dead_message(uuid4(), b"{}"))
    selection = {"reason": "malformed", "task": "mailer.send_email"}
    assert operator.post(f"{LETTERS}/discard", selection).json()["done"] == 1
    assert operator.post(f"{LETTERS}/discard", {"reason": "malformed"}).json()["done"] == 1
    assert set(repair.waiting()) == {letters["rejected"].pk, letters["unrouted"].pk}


def test_a_request_that_runs_out_of_time_tells_what_remains(
    operator: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "BATCH", 2)
    monkeypatch.setattr(repair, "REQUEST_BUDGET", 0.0)
    some()
    ids = repair.waiting()
    report = operator.post(f"{LETTERS}/discard", {"ids": ids}).json()
    assert (report["done"], report["remaining"]) == (2, 1)


@pytest.mark.parametrize(
    "selection",
    [
        {}, {"ids": []}, {"ids": [1], "reason": "malformed"}, {"ids": [1], "task": "compute.run"},
        {"task": "compute.run"}, {"ids": [0]}, {"ids": ["a"]}, {"ids": [2**63]},
        {"ids": list(range(1, 1002))}, {"reason": ""}, {"reason": ["malformed"]}, [1],
    ],
)  # fmt: skip
def test_a_selection_has_to_be_clear(operator: APIClient, selection: Any) -> None:
    answer = operator.post(f"{LETTERS}/replay", selection)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_the_summary_counts_what_waits(operator: APIClient) -> None:
    letters = some()
    save(dead_message(uuid4()))
    repair.discard([letters["unrouted"].pk], "ops")
    old = timezone.now() - timedelta(hours=1)
    DeadLetter.objects.filter(pk=letters["malformed"].pk).update(created_at=old)
    summary = operator.get(f"{LETTERS}/summary").json()
    assert summary["waiting"] == 3
    assert 3600 <= summary["oldest_age"] < 3700
    assert [(group["reason"], group["task"], group["count"]) for group in summary["groups"]] == [
        ("rejected", "compute.run", 2), ("malformed", "mailer.send_email", 1),
    ]  # fmt: skip


def test_the_summary_of_nothing_is_empty(operator: APIClient) -> None:
    assert operator.get(f"{LETTERS}/summary").json() == {
        "waiting": 0, "oldest_age": None, "groups": [],
    }  # fmt: skip


READING = ["", "/1", "/summary"]
REPAIRING = ["/1/replay", "/1/discard", "/replay", "/discard"]


@pytest.mark.parametrize("address", [*READING, *REPAIRING])
def test_without_a_token_nothing_can_be_done(address: str) -> None:
    client = APIClient()
    answer = (client.post if address in REPAIRING else client.get)(LETTERS + address)
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("address", [*READING, *REPAIRING])
def test_a_user_who_is_no_staff_may_nothing(address: str) -> None:
    client = client_of(permit(make_user(), "change_deadletter"))
    answer = (client.post if address in REPAIRING else client.get)(LETTERS + address)
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


@pytest.mark.parametrize("address", [*READING, *REPAIRING])
def test_staff_without_a_permission_for_dead_letters_may_nothing(address: str) -> None:
    others = [each for each in Permission.objects.all() if not each.codename.endswith("deadletter")]
    user = make_user(staff=True)
    user.user_permissions.add(*others)
    client = client_of(user)
    answer = (client.post if address in REPAIRING else client.get)(LETTERS + address)
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_staff_who_may_view_dead_letters_may_only_read(job: Job) -> None:
    letter = save(dead_message(job.id))
    client = client_of(permit(make_user("reader@example.org", staff=True), "view_deadletter"))
    assert listed(client) == [letter.pk]
    for address in (f"/{letter.pk}/replay", f"/{letter.pk}/discard", "/replay", "/discard"):
        answer = client.post(LETTERS + address, {"ids": [letter.pk]})
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied"), address
    letter.refresh_from_db()
    assert letter.state == "waiting"
