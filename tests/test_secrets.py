"""Passwords, keys and addresses pass through every process, and stay in none of its traces."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from contracts.topology import SERVICES

from .support.api import Account, connect, key_in, text_of
from .support.stack import Stack
from .support.wire import Spy, Wire


@dataclass(frozen=True)
class Trip:
    """A round trip of both kinds of work, with some things that go wrong on the way."""

    account: Account
    verification_key: str
    verification_link: str
    job_id: str
    mail_id: str
    events: str

    @property
    def secrets(self) -> dict[str, str]:
        """What nobody may find, by what it is."""
        return {
            "password": self.account.password,
            "address": self.account.email,
            "verification key": self.verification_key,
            "verification link": self.verification_link,
            "access token": self.account.http.headers["Authorization"].removeprefix("Bearer "),
        }


@pytest.fixture(scope="module")
def flower(stack: Stack) -> Iterator[httpx.Client]:
    """Flower's API, as an operator."""
    stack.flower.start()
    user, _, password = stack.environment["FLOWER_BASIC_AUTH"].partition(":")
    with httpx.Client(
        base_url=stack.settings.flower_url, auth=(user, password), timeout=30, trust_env=False
    ) as client:
        stack.poll(lambda: workers(client), lambda seen: seen == {*SERVICES}, "workers in Flower")
        yield client
    stack.flower.kill()  # else it waits for answers that it no longer needs


@pytest.fixture(scope="module")
def trip(stack: Stack, flower: httpx.Client) -> Iterator[Trip]:
    with Wire.open(stack.environment["BROKER_URL"]) as wire:
        events = wire.spy("celeryev")
        with connect(stack.settings.web_url) as http:
            account = Account.register(http)
            yield _go(stack, flower, account, events)


def _go(stack: Stack, flower: httpx.Client, account: Account, events: Spy) -> Trip:
    [mail] = stack.poll(lambda: stack.smtp.mails_to(account.email), bool, "verification mail")
    key = key_in(mail)
    link = next(line for line in text_of(mail).splitlines() if "/verify?key=" in line)
    stack.smtp.answer(account.email, f"451 <{account.email}> is busy")
    wrong = {"email": account.email, "password": account.password + "!"}
    account.post("auth/token", wrong, expect=401)
    account.post("users/verify", {"key": key + "!"}, expect=400)
    assert account.http.get(link).status_code == 200
    account.move_in(stack.smtp)
    job_id = account.submit("add", x=4, y=6)
    assert account.job(job_id, wait=30)["result"] == 10
    welcome = stack.poll(
        lambda: account.mail("welcome"), lambda found: found["state"] == "sent", "welcome mail"
    )
    for task_id in (job_id, account.mail()["id"], welcome["id"]):
        stack.poll(
            lambda task_id=task_id: task(flower, task_id),  # type: ignore[misc]
            lambda found: found.get("state") == "SUCCESS",
            "finished task in Flower",
        )
    seen = "\n".join(f"{copy.headers} {copy.body.decode()}" for copy in events.seen)
    return Trip(account, key, link, job_id, account.mail()["id"], seen)


def workers(flower: httpx.Client) -> set[str]:
    """Names of the nodes that Flower shows as online, without number and host."""
    shown = flower.get("/workers", params={"json": "1"}).json()["data"]
    return {node["hostname"].partition("-")[0] for node in shown if node["status"]}


def task(flower: httpx.Client, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = flower.get("/api/tasks").json().get(task_id, {})
    return found


def assert_nothing_in(text: str, trip: Trip) -> None:
    for name, secret in trip.secrets.items():
        position = text.find(secret)
        assert position < 0, f"{name}: …{text[max(0, position - 300) : position]}"


@pytest.mark.parametrize(
    "process", ["web", "relay", "collector", "reconciler", "mailer", "compute", "tasks", "flower"]
)
def test_the_logs_tell_no_secret(stack: Stack, trip: Trip, process: str) -> None:
    log = stack.process(process).log
    assert log
    assert_nothing_in(log, trip)


def test_the_logs_tell_of_the_work_nevertheless(stack: Stack, trip: Trip) -> None:
    assert stack.web.records(event="request answered", path=f"/api/v1/jobs/{trip.job_id}")
    assert stack.compute.records(event="task done", task_id=trip.job_id)
    assert stack.mailer.records(event="task done", task_id=trip.mail_id)


def test_the_events_that_everybody_on_the_broker_may_hear_tell_no_secret(trip: Trip) -> None:
    for kind in ("task-sent", "task-received", "task-started", "task-succeeded"):
        assert kind in trip.events
    assert trip.mail_id in trip.events
    assert_nothing_in(trip.events, trip)


def test_flower_tells_no_secret(trip: Trip, flower: httpx.Client) -> None:
    assert_nothing_in(flower.get("/api/tasks").text, trip)
    assert_nothing_in(flower.get(f"/task/{trip.mail_id}").text, trip)


def test_flower_shows_mails_without_recipient_and_context(trip: Trip, flower: httpx.Client) -> None:
    mail = task(flower, trip.mail_id)
    assert mail["name"] == "mailer.send_email"
    assert "'template': 'verify_email'" in mail["kwargs"]
    assert "'recipient': '…'" in mail["kwargs"]
    assert "'context': '…'" in mail["kwargs"]


def test_flower_shows_all_workers_and_each_task_with_its_times(
    trip: Trip, flower: httpx.Client
) -> None:
    assert workers(flower) == {*SERVICES}
    job = task(flower, trip.job_id)
    assert (job["name"], job["state"], job["result"]) == ("compute.add", "SUCCESS", "10")
    assert "'computation': 'add'" in job["kwargs"]
    assert job["sent"] > 0  # the relay tells after the confirm: perhaps later than the worker
    assert job["received"] <= job["started"] <= job["succeeded"]
    assert job["runtime"] > 0
    assert job["worker"].startswith("compute-")


@pytest.mark.parametrize("path", ["/", "/tasks", "/api/tasks", "/api/workers"])
def test_flower_asks_for_its_password(stack: Stack, flower: httpx.Client, path: str) -> None:
    url = f"{stack.settings.flower_url}{path}"
    assert httpx.get(url, trust_env=False).status_code == 401
    wrong = httpx.get(url, auth=("warren", "guessed"), trust_env=False)
    assert wrong.status_code == 401
    assert flower.get(path).status_code == 200
