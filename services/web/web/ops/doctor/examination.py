"""Runs the checks one after the other. None of them can hold the others up.

Each runs in a thread of its own, which is abandoned when its time is over. A frozen server keeps
connections open and never answers. After that the other checks of this server are skipped.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db import Error, connections

from web.messaging.processes.lifecycle import BROKER_ERRORS, DATABASE_ERRORS
from web.ops.doctor.finding import Finding, Level, problem, unknown

ALL_SECONDS = 18.0
CHECK_SECONDS = 5.0
UNREACHABLE: tuple[type[Exception], ...] = (*BROKER_ERRORS, *DATABASE_ERRORS)


class Server(StrEnum):
    """A server that checks ask."""

    DATABASE = "PostgreSQL"
    BROKER = "RabbitMQ"


WAYS_OUT = {
    Server.DATABASE: "start it: `docker compose up -d postgres`, or `make up`; if it runs, compare "
    "DATABASE_URL with it",
    Server.BROKER: "start it: `docker compose up -d rabbitmq`, or `make up`; if it runs, compare "
    "BROKER_URL with it. Until then messages wait in the outbox",
}


@dataclass(frozen=True)
class Check:
    """One check: ``look`` yields its findings; ``server`` has to answer for that."""

    name: str
    look: Callable[[], Iterable[Finding]]
    server: Server | None = None


@dataclass(frozen=True)
class Examined:
    """A check's name with its findings."""

    check: str
    findings: Sequence[Finding]

    @property
    def levels(self) -> set[Level]:
        """The levels of the findings."""
        return {finding.level for finding in self.findings}


def examine(checks: Iterable[Check], seconds: float = ALL_SECONDS) -> Iterator[Examined]:
    """Yield each check's findings as soon as they are known, within ``seconds`` for all."""
    end = time.monotonic() + seconds
    away: set[Server] = set()
    for check in checks:
        left = end - time.monotonic()
        if check.server in away:
            yield Examined(check.name, [unknown(f"not looked at: {check.server} cannot be used")])
        elif left <= 0:
            yield Examined(check.name, [unknown("not looked at: the others took too long")])
        else:
            yield _examined(check, min(left, CHECK_SECONDS), away)


def _examined(check: Check, seconds: float, away: set[Server]) -> Examined:
    try:
        return Examined(check.name, _within(seconds, check.look))
    except UNREACHABLE as error:
        if check.server and not _has_answered(error):
            away.add(check.server)
            found = f"{check.server} cannot be used: {_reason(error)}"
            return Examined(check.name, [problem(found, WAYS_OUT[check.server])])
        return Examined(check.name, [unknown(f"could not be looked at: {error}")])
    except Exception as error:  # noqa: BLE001 -- one check that fails does not end the others
        found = f"could not be looked at: {type(error).__name__}: {error}"
        return Examined(check.name, [unknown(found)])


def _within(seconds: float, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    outcomes: queue.SimpleQueue[list[Finding] | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcomes.put(list(look()))
        except Exception as error:  # noqa: BLE001 -- raised again below, in the doctor's own thread
            outcomes.put(error)
        finally:
            connections.close_all()  # this thread's

    threading.Thread(target=run, daemon=True).start()
    try:
        outcome = outcomes.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"nothing within {seconds:.0f} s") from None
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
        return "it does not answer: frozen, overloaded or cut off"
    return str(getattr(error, "reply_text", "") or error) or type(error).__name__


def _has_answered(error: Exception) -> bool:
    """Whether the database runs and has refused this query alone, for instance for a lock."""
    state = getattr(error.__cause__, "sqlstate", None) if isinstance(error, Error) else None
    return state is not None and not state.startswith("57P")  # 57P…: it is stopping or starting
