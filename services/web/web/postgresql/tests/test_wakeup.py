"""One process tells another that there is something to do."""

import threading

import pytest
from django.db import connection, transaction

from tests.support.polling import poll
from web.postgresql import wakeup
from web.postgresql.outage import outage
from web.postgresql.wakeup import Listener, Waker, wake_after_commit

pytestmark = pytest.mark.django_db(transaction=True)
CHANNEL = "a_channel"


@pytest.fixture
def waker(monkeypatch: pytest.MonkeyPatch) -> Waker:
    """A thread that notifies; it ends with the test run, and holds no connection meanwhile."""
    made = Waker()
    monkeypatch.setattr(wakeup, "_waker", made)
    return made


@pytest.mark.usefixtures("waker")
def test_a_process_with_a_thread_for_it_notifies_after_the_commit() -> None:
    with Listener(CHANNEL) as listener:
        with transaction.atomic():
            wake_after_commit(CHANNEL)
            assert listener.wait(0.2) == []
        assert listener.wait(10.0) == [""]


def test_many_requests_at_a_time_need_few_notifications(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    notified: list[str] = []
    may_go_on = threading.Event()

    def notify(channel: str) -> None:
        notified.append(channel)
        may_go_on.wait(60)

    monkeypatch.setattr(wakeup, "notify", notify)
    waker.wake(CHANNEL)
    poll(lambda: notified, what="first notification")
    for _ in range(100):
        waker.wake(CHANNEL)
    may_go_on.set()
    poll(lambda: len(notified), lambda count: count == 2, what="second notification")
    waker.wake("another_channel")
    poll(lambda: notified[2:], what="third notification")
    assert notified[2:] == ["another_channel"]


def test_a_notification_that_fails_stops_none_after_it(waker: Waker) -> None:
    with Listener(CHANNEL) as listener:
        outage.begin()  # no connection can be had
        waker.wake(CHANNEL)
        assert listener.wait(0.2) == []
        outage.end()
        waker.wake(CHANNEL)
        assert listener.wait(10.0) == [""]
    connection.close()
