"""Tasks whose queue was missing when they were published.

Such a queue was deleted, and will be declared again. Meanwhile its tasks wait in the outbox. A task
for which Warren declares no queue becomes a dead letter like any other message.
"""

from collections.abc import Sequence

import structlog
from django.db.models.functions import Now

from contracts import topology
from web.messaging.models import DeadLetter, OutboxMessage
from web.messaging.outbox import leases, outbox
from web.messaging.reasons import Reason

log = structlog.get_logger("web.unrouted")


def take_back(letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Put tasks back into the outbox, inside of the collector's transaction; return the rest.

    A task that already waits there, because it was delivered twice, is not stored again. The row of
    the message that has just come back does not count: its relay may not have deleted it yet.
    """
    tasks = {letter.task_id: letter for letter in letters if _will_be_wanted(letter)}
    if not tasks:
        return list(letters)
    waiting = OutboxMessage.objects.filter(task_id__in=tasks, last_refusal__gt="")
    known = {
        task_id
        for task_id, pk in waiting.values_list("task_id", "pk")
        if tasks[task_id].headers.get("outbox_id") != str(pk)
    }
    new = [_message(letter) for task_id, letter in tasks.items() if task_id not in known]
    outbox.store_refused(new)
    return [letter for letter in letters if not _will_be_wanted(letter)]


def _will_be_wanted(letter: DeadLetter) -> bool:
    return (
        letter.reason == Reason.UNROUTED
        and letter.task_id is not None
        and letter.routing_key in (letter.task, f"{topology.WEB_TASKS}.{letter.task}")
        and outbox.is_task(letter.exchange, letter.routing_key)
    )


def _message(letter: DeadLetter) -> OutboxMessage:
    refusals = _refusals(letter)
    log.warning("no queue for task", task=letter.task, task_id=str(letter.task_id))
    return OutboxMessage(
        task_id=letter.task_id,
        exchange=letter.exchange,
        routing_key=letter.routing_key,
        headers={name: letter.headers[name] for name in letter.headers if name[:2] != "x-"},
        properties=letter.properties,
        body=letter.body,
        due_at=Now() + leases.pause(refusals),
        refusals=refusals + 1,
        last_refusal=letter.detail,
    )


def _refusals(letter: DeadLetter) -> int:
    refusals = letter.headers.get("refusals")  # set by the relay; it may be forged
    return refusals if isinstance(refusals, int) and 0 <= refusals < 1_000_000 else 0
