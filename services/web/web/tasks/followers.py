"""Sending the tasks that follow another, in the transaction that stores its result.

The body of a chord is sent when the last result of its header is stored; nobody polls. If two
collectors store the last two results, the second one to lock the chord sees both.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from celery import current_app, maybe_signature
from django.db import transaction
from django.db.models import Q, QuerySet
from kombu.utils.json import dumps, loads

from runtime.text import describe
from web.messaging.processes.lifecycle import is_outage
from web.postgresql import clock
from web.tasks.messages import StoredMessage
from web.tasks.models import SERVICE, Task, TaskGroup
from web.tasks.storing import following, planned

log = structlog.get_logger("web.tasks")
CHORD_ERROR = {"exc_type": "ChordError", "exc_module": "celery.exceptions"}
FAILED = (Task.State.FAILED, Task.State.CANCELLED)


def go_on(ended: Sequence[UUID]) -> list[UUID]:
    """Send the tasks that follow ended ones, within the transaction of their results.

    Returns the ids of tasks that now fail: they follow a failed one, or cannot be sent.
    """
    concerned = Task.objects.filter(Q(is_followed=True) | Q(group_id__isnull=False), pk__in=ended)
    rows = list(concerned.order_by("pk"))
    failed: list[UUID] = []
    for row in rows:
        if row.state in FAILED:
            failed += _fail_following(row)
            if row.service != SERVICE:
                _call_back(row)
        elif row.service != SERVICE:
            failed += _send_following(row)
    groups = [row.group_id for row in rows if row.group_id]
    waiting = TaskGroup.objects.filter(pk__in=groups, chord_size__isnull=False)
    for chord in waiting.select_for_update().order_by("pk"):
        failed += _look_at(chord)
    return failed


def wait_again(replayed: Sequence[UUID]) -> None:
    """Queue again the tasks that failed with the replayed ones: they wait for them as before."""
    rows = Task.objects.filter(pk__in=replayed, is_followed=True)
    ids = [each.id for row in rows for each in following(StoredMessage.of(row.message))]
    failed = Task.objects.filter(
        pk__in=ids, message__isnull=True, state=Task.State.FAILED, revoked_from__isnull=True
    )
    failed.update(
        state=Task.State.QUEUED, error_type="", error_message="", exception=None, finished_at=None
    )


def _send_following(row: Task) -> list[UUID]:
    """Send the tasks that follow a contract's task. (Workers of own tasks do it themselves.)"""
    options = StoredMessage.of(row.message).options
    chain = options.get("chain") or []
    sent: list[tuple[Any, dict[str, Any]]] = [
        (callback, {}) for callback in options.get("callbacks") or ()
    ]
    if chain:
        sent.append((chain[-1], {"chain": chain[:-1]}))
    failed: list[UUID] = []
    for signature, rest in sent:
        failed += _send(signature, loads(dumps(row.result)), parent_id=str(row.pk), **rest)
    return failed


def _call_back(row: Task) -> None:
    """Send the error callbacks (``link_error``) of a failed task, with the id of that task."""
    for signature in StoredMessage.of(row.message).options.get("errbacks") or ():
        _send(signature, str(row.pk), parent_id=str(row.pk))


def _send(signature: dict[str, Any], result: Any, **options: Any) -> list[UUID]:
    """Send a task with the result of the one before. If it cannot be sent, fail and return it."""
    try:
        with transaction.atomic():
            following: Any = maybe_signature(signature, app=current_app)
            following.apply_async((result,), **options)
    except Exception as error:
        if is_outage(error):
            raise
        log.exception("a task cannot be sent after another", task=signature["task"])
        reason = f"it cannot be sent: {describe(error)}"
        return _fail([each.id for each in planned(signature)], _chord_error(reason))
    return []


def _look_at(chord: TaskGroup) -> list[UUID]:
    members = Task.objects.filter(group_id=chord.pk).order_by("group_index")
    states = Counter(members.values_list("state", flat=True).order_by())
    if states[Task.State.SUCCEEDED] != chord.chord_size:
        return []  # a failed member may be replayed
    chord.chord_size = None
    chord.save(update_fields=["chord_size"])
    return _send_body(members)


def _send_body(members: QuerySet[Task]) -> list[UUID]:
    message = members.values_list("message", flat=True).first()
    body = StoredMessage.of(message).options["chord"]
    results = [loads(dumps(result)) for result in members.values_list("result", flat=True)]
    return _send(body, results)


def _fail_following(row: Task) -> list[UUID]:
    after: dict[bool, list[UUID]] = {True: [], False: []}
    for each in following(StoredMessage.of(row.message)):
        after[each.in_body].append(each.id)
    failed = []
    if after[False]:
        failed += _fail(
            after[False],
            {
                "state": row.state,
                "error_type": row.error_type,
                "error_message": row.error_message,
                "exception": row.exception,
            },
        )
    if after[True]:
        why = f"{row.error_type}({row.error_message!r})" if row.error_type else row.state
        failed += _fail(after[True], _chord_error(f"Dependency {row.pk} raised {why}"))
    return failed


def _chord_error(reason: str) -> dict[str, Any]:
    return {
        "error_type": "ChordError",
        "error_message": reason,
        "exception": CHORD_ERROR | {"exc_message": [reason]},
    }


def _fail(ids: Sequence[UUID], values: dict[str, Any]) -> list[UUID]:
    """Let tasks fail that were not sent, and now never will be; return their ids."""
    waiting = Task.objects.select_for_update().filter(
        pk__in=ids, message__isnull=True, state=Task.State.QUEUED
    )
    failing = list(waiting.order_by("pk").values_list("pk", flat=True))
    values = {"state": Task.State.FAILED, "finished_at": clock.now()} | values
    Task.objects.filter(pk__in=failing).update(**values)
    return failing
