"""Replaying and discarding dead letters, from one to many thousands.

A batch takes a few statements whatever its size, and no body leaves the database. Only a letter of
the reason ``unmade`` takes statements of its own, because its message is made from its row.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models.functions import Now

from contracts import topology
from contracts.errors import MalformedMessageError
from contracts.tasks import TASKS
from runtime.text import describe
from web.messaging.models import DeadLetter
from web.messaging.outbox import outbox
from web.messaging.processes.lifecycle import is_outage
from web.messaging.reasons import Reason
from web.tracking import registry
from web.tracking.engine import Engine

log = structlog.get_logger("web.repair")
BATCH = 200  # letters of one transaction, which locks them and their jobs
REQUEST_BUDGET = 10.0  # seconds that a request may take; clients and proxies wait longer
MOST_REFUSALS = 100  # listed in a report
# Exchanges to which the relay may publish. A forged message may name another one, whose refusals
# would hold the relay up.
REPLAYABLE = {topology.TASKS.name, *(exchange.name for exchange in topology.RESULTS), ""}
NOT_FOUND, HANDLED, NOT_REPLAYABLE = (
    "not_found",
    "dead_letter_handled",
    "dead_letter_not_replayable",
)
NOT_FAILED = "its job or mail has not failed: it ended well, was cancelled, is at work, or is gone"
# ``retries``, or ``runs``, makes the events of the new run outrank the old ones. The x-… headers
# are RabbitMQ's, and left out.
RESENT = """
    SELECT letter.task_id, plan.exchange, plan.routing_key,
        (SELECT COALESCE(jsonb_object_agg(key, value), '{}') FROM jsonb_each(letter.headers)
         WHERE key NOT LIKE 'x-%%')
            || jsonb_strip_nulls(jsonb_build_object(
                CASE WHEN letter.headers ? 'runs' THEN 'runs' ELSE 'retries' END, plan.runs)),
        letter.properties, letter.body
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::int[])
        AS plan (id, exchange, routing_key, runs)
    JOIN messaging_deadletter AS letter ON letter.id = plan.id
    ORDER BY letter.id
"""


@dataclass(frozen=True)
class Refusal:
    """Why a letter was left as it was; ``code`` is for programs."""

    id: int
    code: str
    detail: str


@dataclass
class Report:
    """The outcome for a selection of letters; ``remaining`` counts those not yet looked at."""

    remaining: int
    done: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def add(self, asked: int, refusals: list[Refusal]) -> None:
        """Count one batch."""
        self.remaining -= asked
        self.done += asked - len(refusals)
        self.refused += len(refusals)
        self.refusals += refusals[: MOST_REFUSALS - len(self.refusals)]


# Deals with the letters of these ids, on behalf of a user, and returns the refusals.
Action = Callable[[Sequence[int], str], list[Refusal]]


@transaction.atomic
def replay(ids: Sequence[int], by: str) -> list[Refusal]:
    """Send the messages of a batch again, with the ids of their jobs and mails.

    Args:
        ids: of the letters.
        by: who decided so, for the record.
    """
    letters, refusals = _lock(ids)
    problems = {letter: _problem(letter) for letter in letters}
    problems |= {letter: _make(letter) for letter in letters if letter.reason == Reason.UNMADE}
    made = [letter for letter in letters if letter.reason == Reason.UNMADE and not problems[letter]]
    runs = _queue_again([each for each in letters if not problems[each] and each not in made])
    sent: dict[DeadLetter, int | None] = {}
    for letter, problem in problems.items():
        if problem:
            refusals.append(Refusal(letter.pk, NOT_REPLAYABLE, problem))
        elif letter in made:
            continue
        elif not _owner(letter):
            sent[letter] = None
        elif letter.task_id in runs:
            sent[letter] = runs.pop(letter.task_id)  # a second letter of the same job is refused
        else:
            refusals.append(Refusal(letter.pk, NOT_REPLAYABLE, NOT_FAILED))
    _resend(sent)
    _close([*sent, *made], DeadLetter.State.REPLAYED, by)
    return refusals


@transaction.atomic
def discard(ids: Sequence[int], by: str) -> list[Refusal]:
    """Give the letters of a batch up; they stay on record. Arguments as of ``replay``."""
    letters, refusals = _lock(ids)
    _close(letters, DeadLetter.State.DISCARDED, by)
    return refusals


def waiting(*, reason: str | None = None, task: str | None = None) -> list[int]:
    """Return the ids of all waiting letters, oldest first; None stands for any reason or task."""
    chosen = {"reason": reason, "task": task}
    filters = {name: value for name, value in chosen.items() if value is not None}
    letters = DeadLetter.objects.filter(state=DeadLetter.State.WAITING, **filters)
    return list(letters.order_by("pk").values_list("pk", flat=True))


def sweep(
    action: Action,
    ids: Sequence[int],
    by: str,
    *,
    seconds: float = math.inf,
    tell: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Deal with any number of letters, batch by batch.

    Args:
        action: ``replay`` or ``discard``.
        ids: of the letters.
        by: who decided so, for the record.
        seconds: after which no further batch is begun.
        tell: is called after each batch.
    """
    ids = list(dict.fromkeys(ids))
    report = Report(remaining=len(ids))
    end = time.monotonic() + seconds
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        report.add(len(batch), action(batch, by))
        tell(report)
        if time.monotonic() >= end:
            break
    return report


def _lock(ids: Sequence[int]) -> tuple[list[DeadLetter], list[Refusal]]:
    found = DeadLetter.objects.select_for_update().filter(pk__in=ids).order_by("pk")
    letters = {letter.pk: letter for letter in found.defer("headers", "properties", "body")}
    waiting = [lett for lett in letters.values() if lett.state == DeadLetter.State.WAITING]
    refusals = [
        Refusal(lett.pk, HANDLED, f"it has already been {lett.state} by {lett.handled_by}")
        for lett in letters.values()
        if lett.state != DeadLetter.State.WAITING
    ]
    missing = [number for number in ids if number not in letters]
    refusals += [Refusal(pk, NOT_FOUND, "there is no such dead letter") for pk in missing]
    return waiting, refusals


def _address(letter: DeadLetter) -> tuple[str, str]:
    """Return exchange and routing key. A contract's task goes where its contract says."""
    if letter.task in TASKS and letter.exchange in (topology.TASKS.name, ""):
        return topology.TASKS.name, letter.task
    if letter.exchange == topology.OLD_RESULTS:
        return topology.results_name(letter.routing_key.partition(".")[0]), letter.routing_key
    return letter.exchange, letter.routing_key


def _problem(letter: DeadLetter) -> str:
    exchange, routing_key = _address(letter)
    if exchange not in REPLAYABLE:
        return f"nothing of ours is published to {exchange!r}"
    if routing_key == topology.WEB_DEAD.name:
        return "it came straight to the dead letters, and nobody knows where it was to go"
    return ""


def _owner(letter: DeadLetter) -> Engine[Any] | None:
    return registry.find(letter.kind) if letter.task_id else None


def _make(letter: DeadLetter) -> str:
    """Make a message that could not be made before. Returns the reason if it still cannot be."""
    engine, task_id = _owner(letter), letter.task_id
    if engine is None or task_id is None:
        return NOT_FAILED
    engine = engine.of(task_id)
    try:
        with transaction.atomic():
            if task_id not in engine.replay([task_id]):
                return NOT_FAILED
            engine.publish_again([task_id])
            if not engine.unfinished().filter(pk=task_id).exists():
                raise MalformedMessageError("nothing is left that it could be made of")
    except Exception as error:
        if is_outage(error):
            raise
        return f"its message still cannot be made: {describe(error)}"
    return ""


def _queue_again(letters: Sequence[DeadLetter]) -> dict[UUID | None, int]:
    """Set failed jobs and mails back to queued; return the number of runs of each so far."""
    by_kind: dict[str, list[UUID]] = defaultdict(list)
    for letter in letters:
        if letter.task_id:
            by_kind[letter.kind].append(letter.task_id)
    runs: dict[UUID | None, int] = {}
    for kind, task_ids in sorted(by_kind.items()):  # locks rows, in the collector's order
        if engine := registry.find(kind):
            runs |= dict(engine.replay(task_ids).items())
    return runs


def _resend(letters: dict[DeadLetter, int | None]) -> None:
    addresses = [_address(letter) for letter in letters]
    columns: list[list[Any]] = [
        [letter.pk for letter in letters],
        [exchange for exchange, _ in addresses],
        [routing_key for _, routing_key in addresses],
        list(letters.values()),
    ]
    outbox.store_selected(RESENT, columns)


def _close(letters: Sequence[DeadLetter], state: DeadLetter.State, by: str) -> None:
    DeadLetter.objects.filter(pk__in=[letter.pk for letter in letters]).update(
        state=state,
        handled_at=Now(),
        handled_by=by,
        body=b"",  # it may hold secrets, and is not needed any more
    )
    transaction.on_commit(lambda: _log(letters, state, by))


def _log(letters: Sequence[DeadLetter], state: DeadLetter.State, by: str) -> None:
    for letter in letters:
        log.info(
            "dead letter dealt with",
            letter=letter.pk,
            state=state.value,
            reason=letter.reason,
            task=letter.task,
            task_id=str(letter.task_id) if letter.task_id else None,
            by=by,
        )
