"""The relay: outbox → RabbitMQ, confirmed, with no row lock held while the network is slow."""

import structlog
from django.conf import settings
from django.db import transaction

from contracts.liveness import LivenessFile
from web.messaging import dead_letters, outbox
from web.messaging.lifecycle import BROKER_ERRORS, StopSignal
from web.messaging.models import OutboxMessage
from web.messaging.publisher import Outcome, Publisher
from web.messaging.wakeup import OUTBOX_CHANNEL, Listener

log = structlog.get_logger("web.relay")
POLL = 1.0  # seconds for which to trust in being notified


def relay(stop: StopSignal, liveness: LivenessFile) -> None:
    """Publish what is due until told to stop.

    Raises one of BROKER_ERRORS or DATABASE_ERRORS when a connection is lost, and TopologyError.
    """
    with Publisher() as publisher, Listener(OUTBOX_CHANNEL) as listener:
        log.info("relay connected")
        while not stop:
            liveness.touch()
            publisher.keep_alive()
            if not relay_batch(publisher):
                listener.wait(POLL)


def relay_batch(publisher: Publisher) -> int:
    """Publish one batch and record what the broker said; return how many messages were due."""
    messages = outbox.claim(settings.OUTBOX_BATCH)
    if messages:
        try:
            outcome = publisher.publish(messages)
        except BROKER_ERRORS:
            outbox.give_back([message.pk for message in messages])
            raise
        _settle(outcome)
    return len(messages)


def _settle(outcome: Outcome) -> None:
    outbox.delete([message.pk for message in outcome.confirmed])
    for message, reason in outcome.refused:
        log.warning("message refused", task_id=str(message.task_id), reason=reason)
        outbox.postpone(message, reason)
    for message, reason in outcome.returned:
        _park(message, "returned", reason)
    for message, reason in outcome.unencodable:
        _park(message, "unencodable", reason)


def _park(message: OutboxMessage, reason: str, detail: str) -> None:
    log.error("message parked", task_id=str(message.task_id), reason=reason, detail=detail)
    with transaction.atomic():
        dead_letters.park(message, reason, detail)
        outbox.delete([message.pk])
