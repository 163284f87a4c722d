"""How a process of web's lives and dies with what runs beside it."""

import pytest
from django.db import OperationalError

from runtime.liveness import LivenessFile
from web.messaging.models import ProcessLife
from web.messaging.processes import lives
from web.messaging.processes.lifecycle import StopSignal
from web.messaging.processes.lives import live

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StopSignal, "listen", lambda self: self)


def work(stop: StopSignal, liveness: LivenessFile) -> None:
    """Work until told to stop."""
    while not stop:
        liveness.touch()
        stop.wait(0.01)


def test_what_runs_beside_a_process_ends_it_if_it_fails() -> None:
    def fail(_: StopSignal) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        live("reconciler", work, beside=fail)
    assert "ZeroDivisionError" in ProcessLife.objects.get().error


def test_both_end_when_told_to() -> None:
    ended = []

    def stop_soon(stop: StopSignal) -> None:
        stop.set()
        ended.append(True)

    live("reconciler", work, beside=stop_soon)
    assert ended == [True]
    assert not ProcessLife.objects.exists()


def test_what_runs_beside_goes_on_through_outages() -> None:
    tries = []

    def away_twice(stop: StopSignal) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("the database is away")
        stop.set()

    live("reconciler", work, beside=away_twice)
    assert len(tries) == 3
    assert not lives.ended("reconciler", lives.FORGOTTEN_AFTER).exists()
