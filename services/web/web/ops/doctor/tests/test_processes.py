"""Which processes there are."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from contracts.errors import TopologyError
from contracts.events import WorkerReport
from runtime.liveness import LivenessFile
from web.messaging.inbox import workers
from web.messaging.models import ProcessLife
from web.messaging.processes import lives
from web.messaging.processes.lifecycle import StopSignal
from web.ops.doctor import processes
from web.ops.doctor.finding import Level
from web.ops.doctor.processes import look_at_processes

# Not in a transaction, in which PostgreSQL shows the same connections again and again.
pytestmark = pytest.mark.django_db(transaction=True)


def test_processes_are_counted_by_the_names_of_their_connections() -> None:
    assert {finding.level for finding in look_at_processes()} == {Level.PROBLEM}
    parameters = connection.get_connection_params()
    names = ("relay 1@host", "relay 1@host", "relay 2@host", "collect 3@host", "reconcile 4@host")
    with ExitStack() as stack:
        for name in names:
            named = parameters | {"application_name": f"warren {name}"}
            stack.enter_context(psycopg.connect(**named))
        (finding,) = look_at_processes()
    assert finding.found == "connected to the database: relay 2, collector 1, reconciler 1"


def test_a_process_that_is_missing_is_named() -> None:
    found = list(look_at_processes())
    assert found[0].found == "there is no relay: nothing leaves the outbox"
    assert "docker compose up -d relay" in found[0].way_out


def told(word: str) -> list[str]:
    return [each.found for each in look_at_processes() if word in each.found]


@pytest.fixture
def _connected_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody need wait until a connection is as old as a missing sign of life."""
    monkeypatch.setattr(processes, "SEEN", timedelta(0))


@pytest.mark.usefixtures("_connected_for_long")
def test_a_process_that_is_connected_and_does_not_get_on_is_named() -> None:
    parameters = connection.get_connection_params()
    named = parameters | {"application_name": "warren reconcile 4@host"}
    with psycopg.connect(**named):
        assert len(told("reconciler 4@host does not get on")) == 1
        lives.record([("reconciler", "4@host", datetime.now(UTC))])
        assert not told("does not get on")
        ProcessLife.objects.update(seen_at=Now() - 2 * lives.SEEN)
        assert len(told("reconciler 4@host does not get on")) == 1


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], None]:
    """Live as a relay does: show life once, and end."""
    monkeypatch.setattr(StopSignal, "listen", lambda self: self)  # signals are for main threads

    def live_once(error: Exception | None = None) -> None:
        def session(stop: StopSignal, liveness: LivenessFile) -> None:
            liveness.touch()
            if error:
                raise error
            stop.set()

        lives.live("relay", session)

    return live_once


def test_a_process_that_dies_again_and_again_is_named_with_its_last_error(
    live: Callable[[Exception | None], None],
) -> None:
    for error in (ValueError("secret"), KeyError("secret"), TopologyError("a queue differs")):
        assert not told("keeps dying")
        with pytest.raises(type(error)):
            live(error)
    (words,) = told("keeps dying")
    assert words == (
        "relay keeps dying: 3 times within 10 minutes, the last time of TopologyError: "
        "a queue differs"
    )
    ProcessLife.objects.update(seen_at=Now() - processes.LATELY)
    assert not told("keeps dying")


def test_an_error_that_may_hold_a_value_is_told_by_its_kind(
    live: Callable[[Exception | None], None],
) -> None:
    with pytest.raises(ValueError, match="secret"):
        live(ValueError("secret"))
    assert "secret" not in ProcessLife.objects.get().error


def test_a_process_that_ends_as_it_was_told_to_is_not_mentioned(
    live: Callable[[Exception | None], None],
) -> None:
    live(None)
    assert not ProcessLife.objects.exists()


def test_a_worker_that_starts_again_and_again_is_named_whatever_its_last_one_reports() -> None:
    for _ in range(processes.OFTEN + 1):  # of one name, as in a container
        now = datetime.now(UTC)
        report = WorkerReport(
            service="compute", worker="compute-1@host", at=now, holding=[], checks={},
            started_at=now,
        )  # fmt: skip
        for _again in range(2):
            workers.record([report])
    assert ProcessLife.objects.count() == processes.OFTEN + 1
    assert not told("keeps dying")
    silent = Now() - 2 * lives.SEEN
    last = ProcessLife.objects.order_by("began").last()
    assert last
    ProcessLife.objects.exclude(pk=last.pk).update(seen_at=silent, first_seen_at=silent)
    assert told("keeps dying") == ["compute keeps dying: 3 times within 10 minutes"]
    ProcessLife.objects.update(first_seen_at=F("seen_at") - 2 * processes.SHORT)
    assert not told("keeps dying")


def test_workers_that_are_stopped_again_and_again_are_not_named() -> None:
    for number in range(processes.OFTEN + 1):
        now = datetime.now(UTC)
        begun = WorkerReport(
            service="compute", worker=f"compute-{number}@host", at=now, holding=[], checks={},
            started_at=now,
        )  # fmt: skip
        workers.record([begun])
        workers.record([msgspec.structs.replace(begun, stopped=True)])
    assert not ProcessLife.objects.exists()
