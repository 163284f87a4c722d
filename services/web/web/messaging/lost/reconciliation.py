"""The reconciler: finds lost tasks, and publishes them again or lets them fail.

See docs/decisions/0013-reconciliation.md.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from kombu import Connection

from contracts import topology
from runtime.liveness import LivenessFile
from runtime.text import describe
from web.messaging.broker.connection import connected, keep_alive
from web.messaging.inbox import workers
from web.messaging.letters import dead_letters, making
from web.messaging.lost.suspicion import Suspect, Suspicion, View
from web.messaging.models import OutboxMessage
from web.messaging.processes.lifecycle import StopSignal, is_outage
from web.tracking import registry
from web.tracking.engine import Engine

log = structlog.get_logger("web.reconciler")
BATCH = 200  # tasks of one transaction, which locks their rows
HOMEWARD = (topology.WEB_RESULTS, topology.WEB_DEAD)


class Reconciler:
    """Looks at broker, workers and database every few seconds; several may run side by side."""

    def __init__(self, stop: StopSignal, liveness: LivenessFile) -> None:
        self._stop = stop
        self._liveness = liveness
        self._suspicions = {engine: Suspicion(engine) for engine in registry.engines()}
        self._problems: list[str] = []

    def run(self) -> None:
        """Look and mend until told to stop. Raises one of BROKER_ERRORS or DATABASE_ERRORS."""
        with connected() as connection:
            log.info("reconciler connected")
            while not self._stop:
                self._show_life(connection)
                self.look(connection)
                self._stop.wait(settings.RECONCILE_INTERVAL)

    def look(self, connection: Connection) -> None:
        """Declare missing parts of the topology, and publish lost tasks again."""
        self._restore(connection)
        for engine, suspicion in self._suspicions.items():
            confirmed = suspicion.confirmed(_view(connection, engine.service))
            for start in range(0, len(confirmed), BATCH):
                if self._stop:
                    return  # the next reconciler finds the rest
                _mend(engine, confirmed[start : start + BATCH])
                self._show_life(connection)
            suspicion.mended(confirmed)

    def _show_life(self, connection: Connection) -> None:
        self._liveness.touch()
        keep_alive(connection)

    def _restore(self, connection: Connection) -> None:
        comparison = topology.compare(connection)
        if comparison.missing:
            for engine, suspicion in self._suspicions.items():
                if topology.queue_name(engine.service) in comparison.missing:
                    suspicion.queue_lost()
        topology.restore(connection)  # each time: AMQP cannot ask whether a binding exists
        if comparison.problems and comparison.problems != self._problems:
            log.error(
                "topology was not as declared",
                problems=comparison.problems,
                declared_again=comparison.missing,
            )
        self._problems = comparison.problems


def _view(connection: Connection, service: str) -> View:
    with connection.channel() as channel:
        figures: list[Any] = [  # py-amqp's, which have no types
            queue(channel).queue_declare(passive=True)
            for queue in (topology.task_queue(service), *HOMEWARD)
        ]
    return View(
        workers=list(workers.alive(service)),
        consumers=figures[0].consumer_count,
        # For a queue that does not answer in time, RabbitMQ reports 0 messages and 0 consumers.
        quiet=all(each.message_count == 0 < each.consumer_count for each in figures),
    )


def _mend(engine: Engine[Any], suspects: Sequence[Suspect]) -> None:
    """Mend all suspects. One whose message cannot be made fails, with a dead letter."""
    try:
        again, spent = _try_to_mend(engine, suspects)
    except Exception as error:
        if is_outage(error):
            raise
        if len(suspects) > 1:
            middle = len(suspects) // 2
            _mend(engine, suspects[:middle])
            _mend(engine, suspects[middle:])
        else:
            _set_aside(engine, suspects[0], error)
        return
    if again:
        log.warning("published again: nowhere to be found", task=engine.kind, count=again)
    if spent:
        log.error("given up: lost again and again", task=engine.kind, count=spent)


@transaction.atomic
def _try_to_mend(engine: Engine[Any], suspects: Sequence[Suspect]) -> tuple[int, int]:
    """Publish lost tasks again, or give up those already published again often enough.

    Returns the number of each. Raises any error that a single row can cause.
    """
    times = _lock(engine, suspects)
    # Asked under the locks: a transaction that held one before may have stored a message.
    queued = OutboxMessage.objects.filter(task_id__in=times).values_list("task_id", flat=True)
    lost = times.keys() - set(queued)
    spent = [pk for pk in lost if times[pk] >= settings.RECONCILE_LIMIT]
    again = [pk for pk in lost if pk not in spent]
    if again:
        engine.publish_again(again)
    if spent:
        engine.give_up(spent, f"its message got lost {settings.RECONCILE_LIMIT + 1} times")
    return len(again), len(spent)


def _set_aside(engine: Engine[Any], suspect: Suspect, error: Exception) -> None:
    """Let a row fail, with a dead letter for an operator. If that fails too, leave it alone."""
    reason = describe(error)
    told = {"task": engine.kind, "task_id": str(suspect.task_id), "reason": reason}
    log.error("its message cannot be made", **told)
    try:
        with transaction.atomic():
            if _lock(engine, [suspect]):
                dead_letters.store([making.unmade(engine.kind, suspect.task_id, reason)])
                engine.give_up([suspect.task_id], f"its message cannot be made: {reason}")
    except Exception as second:
        if is_outage(second):
            raise
        log.error("it cannot be given up either", **(told | {"reason": describe(second)}))


def _lock(engine: Engine[Any], suspects: Sequence[Suspect]) -> dict[UUID, int]:
    """Lock the suspects not published since; return how often each was published again."""
    known = set(suspects)
    rows = engine.unfinished().filter(pk__in=[suspect.task_id for suspect in suspects])
    # Locked in the order of their ids, as the collector does it.
    found = rows.select_for_update().order_by("pk")
    return {
        pk: times
        for pk, dispatched_at, times in found.values_list("pk", "dispatched_at", "republished")
        if Suspect(pk, dispatched_at) in known
    }
