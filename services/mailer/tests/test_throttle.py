"""Limits of sending: a mail above one is sent later, and does not fail."""

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec import structs

from contracts.errors import PostponedError
from contracts.events import TaskError, TaskState
from mailer.throttle import PATIENCE, Rates, Throttle
from runtime.rates import Rate
from tests.support.polling import poll

from .conftest import StartPost, StartServer, StartWorker
from .delivering import MAIL, SENT, Look, another_mail
from .scripted_server import ScriptedServer
from .web import Web

HOURLY = Rate(1, seconds=3600)


class Clock:
    """A time that passes only by sleeping, and when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def throttle(clock: Clock, rates: Rates) -> Throttle:
    return Throttle(rates, clock=clock, sleep=clock.pass_by)


def most_within(seconds: float, times: list[float]) -> int:
    """Return the largest number of times in any span of that length."""
    return max(sum(begin <= at < begin + seconds for at in times) for begin in times)


def test_no_span_has_more_mails_than_the_limit(clock: Clock) -> None:
    limited = throttle(clock, Rates(all=Rate(5, seconds=1)))
    times = []
    for _ in range(40):
        limited.wait("example.org")
        times.append(clock.now)
        clock.pass_by(0.03)
    assert most_within(1, times) == 5
    assert times[-1] - times[0] < 8


def test_a_mail_that_would_wait_for_long_is_postponed(clock: Clock) -> None:
    limited = throttle(clock, Rates(all=Rate(2, seconds=60)))
    limited.wait("example.org")
    limited.wait("example.org")
    clock.pass_by(10)
    before = clock.now
    with pytest.raises(PostponedError, match=r"sent later, to keep MAIL_RATE$") as caught:
        limited.wait("example.net")
    assert caught.value.seconds == pytest.approx(50)
    assert clock.now == before


def test_postponed_mails_come_back_one_after_the_other_and_are_then_sent(clock: Clock) -> None:
    limited = throttle(clock, Rates(all=Rate(3, seconds=60)))
    times, waiting = [], [clock.now] * 12
    while waiting:
        clock.now = max(clock.now, waiting.pop(0))
        try:
            limited.wait("example.org")
            times.append(clock.now)
        except PostponedError as error:
            waiting = sorted([*waiting, clock.now + error.seconds])
    assert most_within(60, times) == 3
    assert times[-1] - times[0] < 60 * 12 / 3 + 2 * PATIENCE


def test_the_limit_of_one_domain_does_not_hold_up_others(clock: Clock) -> None:
    limited = throttle(clock, Rates(all=Rate(100, seconds=1), domain=HOURLY))
    before = clock.now
    limited.wait("example.org")
    for _ in range(3):
        with pytest.raises(PostponedError, match="MAIL_RATE_DOMAIN"):
            limited.wait("example.org")
    limited.wait("example.net")
    assert clock.now == before


def test_without_a_limit_nothing_waits(clock: Clock) -> None:
    limited = throttle(clock, Rates())
    before = clock.now
    for _ in range(1000):
        limited.wait("example.org")
    assert clock.now == before


def test_domains_without_mails_of_late_are_forgotten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailer.throttle.MOST_DOMAINS", 10)
    limited = throttle(clock, Rates(domain=Rate(1, seconds=60)))
    limited.wait("old.example")
    clock.pass_by(59)
    for number in range(9):
        limited.wait(f"{number}.example")
    clock.pass_by(2)
    limited.wait("new.example")
    assert set(limited._domains) == {"new.example", *(f"{number}.example" for number in range(9))}


@pytest.fixture
def server(smtp_server: StartServer) -> ScriptedServer:
    return smtp_server()


def test_a_burst_arrives_whole_and_keeps_the_limit(
    start_post: StartPost, server: ScriptedServer, threads: ThreadPoolExecutor
) -> None:
    post = start_post(rates=Rates(all=Rate(5, seconds=1)))
    arrivals: list[float] = []
    server.script["MAIL"] = [lambda: arrivals.append(time.monotonic())] * 20
    begin = time.monotonic()
    waiting = deque((begin, f"e-{number}") for number in range(20))

    def send(email_id: str) -> None:
        try:
            post.deliver(another_mail(email_id))
        except PostponedError as error:
            waiting.append((time.monotonic() + error.seconds, email_id))

    def send_those_due() -> bool:
        due = [entry for entry in waiting if entry[0] <= time.monotonic()]
        for entry in due:
            waiting.remove(entry)
        list(threads.map(send, [email_id for _, email_id in due]))
        return len(server.mails) == 20

    poll(send_those_due, what="whole burst")
    assert len(set(server.message_ids())) == 20
    # A slow machine makes mails later, never earlier. So this holds on any.
    assert all(at >= begin + n // 5 for n, at in enumerate(sorted(arrivals)))


def test_a_postponed_mail_leaves_no_claim_and_is_not_in_doubt_later(
    start_post: StartPost, server: ScriptedServer, look: Look
) -> None:
    limited = start_post(rates=Rates(domain=HOURLY))
    limited.deliver(structs.replace(MAIL, email_id="e-0"))
    with pytest.raises(PostponedError):
        limited.deliver()
    assert look.rows() == [("e-0", "sent", 1)]
    assert "RCPT" not in server.seen[server.seen.index("END") :]
    limited.deliver(structs.replace(MAIL, email_id="e-2", recipient="eve@example.net"))
    receipt = start_post().deliver()
    assert (receipt.message_id, receipt.uncertain) == (SENT.message_id, False)


def test_a_worker_sends_a_postponed_mail_home_with_the_time(
    web: Web, smtp_server: StartServer, start_worker: StartWorker
) -> None:
    server = smtp_server()
    start_worker(server, MAIL_RATE="1/1h")
    web.await_receipt(web.ask(another_mail("e-1")))
    event = web.await_state(web.ask(another_mail("e-2")), TaskState.RETRY)
    assert event.error == TaskError("PostponedError", "sent later, to keep MAIL_RATE")
    assert event.again_in is not None
    assert 0 < event.again_in <= 3600
    assert len(server.mails) == 1
