"""The relay: outbox → RabbitMQ, confirmed, with no row lock held while the network is slow."""

import time
from collections import Counter
from collections.abc import Callable, Iterable

import structlog
from django.conf import settings
from django.db import transaction

from runtime.liveness import INTERVAL, LivenessFile
from runtime.text import describe
from web.messaging.models import OutboxMessage
from web.messaging.outbox import bundles, leases, outbox
from web.messaging.outbox.publisher import Answers, Outcome, Publisher
from web.messaging.processes.lifecycle import BROKER_ERRORS, StopSignal, is_outage
from web.messaging.reasons import Reason
from web.postgresql.wakeup import OUTBOX_CHANNEL, Listener

log = structlog.get_logger("web.relay")
POLL = 1.0  # seconds after which to look without a notification, for one may get lost
# Makes a dead letter of a message that can never be published, with a reason and a detail.
Park = Callable[[OutboxMessage, Reason, str], None]
LINGER = (
    0.02  # seconds until the next claim, if this one had small tasks: more can then go together
)
LAST_CONFIRMS = 2.0  # seconds for which a relay that was told to stop waits for confirms


def relay(stop: StopSignal, liveness: LivenessFile, park: Park) -> None:
    """Publish what is due until told to stop.

    Raises one of BROKER_ERRORS or DATABASE_ERRORS when a connection is lost, and
    MissingTopologyError.
    """
    with Publisher() as publisher, Listener(OUTBOX_CHANNEL) as listener:
        log.info("relay connected")
        while not stop:
            liveness.touch()
            publisher.keep_alive()
            if publisher.blocked or not relay_batch(publisher, stop, liveness, park):
                listener.wait(POLL)


class Patience:
    """Decides how long a batch waits for the broker: for ever, until the relay is told to stop.

    Meanwhile it renews the leases, so that no other relay publishes the batch too. It also touches
    the liveness file: restarting the relay would not help a broker that is short of memory.
    """

    def __init__(self, outcome: Outcome, stop: StopSignal, liveness: LivenessFile) -> None:
        self._outcome, self._stop, self._liveness = outcome, stop, liveness
        self._interval = min(settings.OUTBOX_LEASE / 3, INTERVAL)
        self._renewal = time.monotonic() + self._interval
        self._end = 0.0

    def lasts(self) -> bool:
        """Whether to go on waiting."""
        now = time.monotonic()
        if now > self._renewal:
            self._renewal = now + self._interval
            self._liveness.touch()
            leases.prolong(_ids(self._outcome.open.values()))
        if self._stop and not self._end:
            self._end = now + LAST_CONFIRMS
        return not self._end or now < self._end


def relay_batch(publisher: Publisher, stop: StopSignal, liveness: LivenessFile, park: Park) -> int:
    """Publish one batch and record what the broker said; return how many messages were due."""
    messages = leases.claim(settings.OUTBOX_BATCH)
    if messages:
        gathered = bundles.gather(messages)
        outcome = Outcome({message.pk: message for message in gathered})
        try:
            publisher.publish(outcome, Patience(outcome, stop, liveness).lasts)
        except BROKER_ERRORS as error:
            # Logged here: if the database fails next, only its error would be logged.
            log.warning("batch interrupted", error=str(error), unanswered=len(outcome.open))
            raise
        finally:
            _settle(outcome, park)
        publisher.tell_flower(outcome.confirmed)
        if len(gathered) < len(messages) < settings.OUTBOX_BATCH:
            stop.wait(LINGER)
    return len(messages)


def _settle(outcome: Outcome, park: Park) -> None:
    leases.forget_confirmed(_ids(outcome.confirmed))
    leases.give_back(_ids(outcome.open.values()))
    refused = list(outcome.refused)
    for message, reason in outcome.returned:
        if message.members or outbox.is_task(message.exchange, message.routing_key):
            refused.append((message, reason))
        else:
            _give_up(message, Reason.RETURNED, reason, park)
    refused += [answer for answer in outcome.unencodable if answer[0].members]
    _postpone(refused)
    for message, reason in outcome.unencodable:
        if not message.members:
            _give_up(message, Reason.UNENCODABLE, reason, park)


def _ids(messages: Iterable[OutboxMessage]) -> list[int]:
    return [row.pk for message in messages for row in message.rows]


def _postpone(refused: Answers) -> None:
    if refused:
        # Members of a bundle go alone after that.
        leases.postpone([(row, reason) for message, reason in refused for row in message.rows])
    # One line for each reason: a full queue refuses all its messages, every few seconds.
    for reason, count in Counter(reason for _, reason in refused).items():
        log.warning("messages refused", reason=reason, count=count)


def _give_up(message: OutboxMessage, reason: Reason, detail: str, park: Park) -> None:
    told = {"outbox_id": message.pk, "task_id": str(message.task_id), "reason": reason}
    log.error("message parked", detail=detail, **told)
    try:
        with transaction.atomic():
            park(message, reason, detail)
            leases.delete(message)
    except Exception as error:
        if is_outage(error):
            raise
        # The message stays in the outbox, where its refusals are seen. To raise would end this
        # relay, and each one after it.
        words = describe(error)
        log.error("it cannot be parked", error=words, **told)
        leases.postpone([(message, f"{reason}, and no dead letter can be made of it: {words}")])
