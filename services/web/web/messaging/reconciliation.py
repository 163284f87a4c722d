"""The reconciler: what got lost with the broker is found and published again, or fails.

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
from contracts.liveness import LivenessFile
from web.messaging import dead_letters, workers
from web.messaging.broker import connected, keep_alive
from web.messaging.lifecycle import StopSignal, is_outage
from web.messaging.models import OutboxMessage
from web.messaging.suspicion import Suspect, Suspicion, View
from web.tracking import registry
from web.tracking.engine import Engine

log = structlog.get_logger("web.reconciler")
BATCH = 200  # tasks of one transaction, which locks their jobs or mails
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
        """Declare what is missing, and publish again what is nowhere."""
        self._restore(connection)
        for engine, suspicion in self._suspicions.items():
            confirmed = suspicion.confirmed(_view(connection, engine.service))
            for start in range(0, len(confirmed), BATCH):
                if self._stop:
                    return  # the next one finds the rest
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
        topology.restore(connection)  # each time: nobody can ask whether a binding is there
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
        # RabbitMQ says 0 and 0 of a queue that does not answer it in time.
        quiet=all(each.message_count == 0 < each.consumer_count for each in figures),
    )


def _mend(engine: Engine[Any], suspects: Sequence[Suspect]) -> None:
    """Mend all of them but those whose messages cannot be made, which fail as dead letters."""
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
    """Publish tasks again, or give up those for which that has been done often enough.

    Returns how many of each. Raises whatever a single row can be the cause of.
    """
    times = _lock(engine, suspects)
    # Asked now: who has held such a lock meanwhile may have stored a message.
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
    """Let a row fail, with a dead letter for an operator; what cannot even fail is left alone."""
    reason = dead_letters.words(error)
    told = {"task": engine.kind, "task_id": str(suspect.task_id), "reason": reason}
    log.error("its message cannot be made", **told)
    try:
        with transaction.atomic():
            if _lock(engine, [suspect]):
                dead_letters.store([dead_letters.unmade(engine.kind, suspect.task_id, reason)])
                engine.give_up([suspect.task_id], f"its message cannot be made: {reason}")
    except Exception as second:
        if is_outage(second):
            raise
        log.error("it cannot be given up either", **(told | {"reason": dead_letters.words(second)}))


def _lock(engine: Engine[Any], suspects: Sequence[Suspect]) -> dict[UUID, int]:
    """Lock those that nobody has published since; return how often each has been by us."""
    known = set(suspects)
    rows = engine.unfinished().filter(pk__in=[suspect.task_id for suspect in suspects])
    # Locked in the order of their ids, as the collector does it.
    found = rows.select_for_update().order_by("pk")
    return {
        pk: times
        for pk, dispatched_at, times in found.values_list("pk", "dispatched_at", "republished")
        if Suspect(pk, dispatched_at) in known
    }
