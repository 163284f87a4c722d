"""The relay: outbox → RabbitMQ, confirmed, with no row lock held while the network is slow."""

import time
from collections import Counter

import structlog
from django.conf import settings
from django.db import transaction

from contracts.liveness import INTERVAL, LivenessFile
from web.messaging import dead_letters, outbox
from web.messaging.lifecycle import BROKER_ERRORS, StopSignal, is_outage
from web.messaging.models import OutboxMessage
from web.messaging.publisher import Answers, Outcome, Publisher
from web.postgresql.wakeup import OUTBOX_CHANNEL, Listener

log = structlog.get_logger("web.relay")
POLL = 1.0  # seconds for which to trust in being notified
LAST_CONFIRMS = 2.0  # seconds that a relay which is to stop waits for what it has sent


def relay(stop: StopSignal, liveness: LivenessFile) -> None:
    """Publish what is due until told to stop.

    Raises one of BROKER_ERRORS or DATABASE_ERRORS when a connection is lost, and
    MissingTopologyError.
    """
    with Publisher() as publisher, Listener(OUTBOX_CHANNEL) as listener:
        log.info("relay connected")
        while not stop:
            liveness.touch()
            publisher.keep_alive()
            if publisher.blocked or not relay_batch(publisher, stop, liveness):
                listener.wait(POLL)


class Patience:
    """How long to wait for the broker with a batch: for ever, but not when the relay is to stop.

    Meanwhile it keeps the leases, so that no other relay publishes the batch too, and shows life:
    to start a relay anew does not help a broker that is short of memory.
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
            outbox.prolong(list(self._outcome.open))
        if self._stop and not self._end:
            self._end = now + LAST_CONFIRMS
        return not self._end or now < self._end


def relay_batch(publisher: Publisher, stop: StopSignal, liveness: LivenessFile) -> int:
    """Publish one batch and record what the broker said; return how many messages were due."""
    messages = outbox.claim(settings.OUTBOX_BATCH)
    if messages:
        outcome = Outcome({message.pk: message for message in messages})
        try:
            publisher.publish(outcome, Patience(outcome, stop, liveness).lasts)
        except BROKER_ERRORS as error:
            # Here, for the database may fail next, and then that is what the log would tell of.
            log.warning("batch interrupted", error=str(error), unanswered=len(outcome.open))
            raise
        finally:
            _settle(outcome)
        publisher.tell_flower(outcome.confirmed)
    return len(messages)


def _settle(outcome: Outcome) -> None:
    outbox.delete([message.pk for message in outcome.confirmed])
    outbox.give_back(list(outcome.open))
    refused = list(outcome.refused)
    for message, reason in outcome.returned:
        if outbox.is_task(message.exchange, message.routing_key):
            refused.append((message, reason))
        else:
            _park(message, "returned", reason)
    _postpone(refused)
    for message, reason in outcome.unencodable:
        _park(message, "unencodable", reason)


def _postpone(refused: Answers) -> None:
    if refused:
        outbox.postpone(refused)
    # Of a full queue all say the same, and say it again every few seconds.
    for reason, count in Counter(reason for _, reason in refused).items():
        log.warning("messages refused", reason=reason, count=count)


def _park(message: OutboxMessage, reason: str, detail: str) -> None:
    told = {"outbox_id": message.pk, "task_id": str(message.task_id), "reason": reason}
    log.error("message parked", detail=detail, **told)
    try:
        with transaction.atomic():
            dead_letters.park(message, reason, detail)
            outbox.delete([message.pk])
    except Exception as error:
        if is_outage(error):
            raise
        # It stays, and its refusal is seen; it must not end this relay and each one after it.
        words = dead_letters.words(error)
        log.error("it cannot be parked", error=words, **told)
        outbox.postpone([(message, f"{reason}, and no dead letter can be made of it: {words}")])
