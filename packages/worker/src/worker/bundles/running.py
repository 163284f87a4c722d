"""How a process of the pool runs a bundle: member by member, each as if it had come alone."""

import time
from typing import Any

import msgspec
import structlog
from celery import Celery, Task
from celery._state import _task_stack  # type: ignore[attr-defined]  # not in the stubs
from celery.app.task import Context
from celery.exceptions import Retry

from contracts.bundles import Bundle, Enclosed, Member, answers_key, bundle_of
from contracts.errors import PermanentError
from contracts.events import TaskEvent, TaskState
from contracts.tasks import TaskContract
from runtime.text import describe
from worker.bundles.places import ANSWERED, Place
from worker.bundles.request import SLOW, BundleRequest

log = structlog.get_logger("warren.bundles")

FLUSH_AFTER = 0.05  # seconds for which an answer waits for those of the next members, at most
MOST_BYTES = 1_000_000  # of results that wait


class BundleTask(Task):  # type: ignore[type-arg]  # celery's Task is generic in its stubs only
    """Runs the members of a bundle.

    What it leaves unanswered, for whatever reason, the main process returns to web: ``request``.
    """

    abstract = True
    Request = BundleRequest  # type: ignore[assignment]
    ignore_result = True  # the members have answers, the bundle has none
    typing = False  # the contract checks the arguments
    contract: TaskContract[Bundle]

    def run(self, **kwargs: Any) -> None:
        """Run the members that nobody has taken back, and publish their answers."""
        bundle = self.contract.decode(kwargs)
        place = Place(self.request.place)  # type: ignore[attr-defined]
        task, answers = self.app.tasks[bundle.task], Answers(self.backend, place)
        for number, member in enumerate(bundle.members):
            answers.flush_if_due()
            began = time.monotonic()
            place.begin(number)
            try:
                # Only now: the main process takes members back that do not run.
                if place.is_open(number):
                    answers.add(number, _run(task, member, self.request))
            except Exception as error:  # noqa: BLE001 -- alone, it becomes a dead letter
                told = {"task": task.name, "task_id": str(member.id)}
                log.error("task has no answer, and is returned", error=describe(error), **told)
            finally:
                place.end()
            if time.monotonic() - began > SLOW:
                break  # its time limit may be spent, and the others were not to wait for it
        answers.flush()


def accept(app: Celery) -> None:
    """Have a worker run bundles of its tasks; its pool must be of processes."""
    contract = bundle_of(app.main)
    own = type("Bundles", (BundleTask,), {"name": contract.name, "contract": contract})
    app.register_task(own())


def _run(task: Any, member: Member, bundle: Context) -> TaskEvent:
    """Run a task as Celery does, but for its signals, and return the event of its end."""
    accepted_at = member.accepted_at and member.accepted_at.isoformat()
    task.push_request(
        id=str(member.id),
        task=task.name,
        retries=0,
        kwargs=member.arguments,
        hostname=bundle.hostname,
        timelimit=bundle.timelimit,
        request_id=member.request_id,
        accepted_at=accepted_at,
        called_directly=False,
    )
    _task_stack.push(task)
    try:
        state, result = _outcome(task, member)
        event: TaskEvent = task.backend.event(str(member.id), result, state, request=task.request)
        return event
    finally:
        _task_stack.pop()
        task.pop_request()


def _outcome(task: Any, member: Member) -> tuple[str, Any]:
    try:
        return TaskState.SUCCESS, task(**member.arguments)
    except Retry as error:
        return TaskState.RETRY, error.exc
    except PermanentError as error:
        return TaskState.FAILURE, error


class Answers:
    """Answers that wait to be published as one message."""

    def __init__(self, backend: Any, place: Place) -> None:
        self._backend, self._place = backend, place
        self._waiting: dict[int, Enclosed] = {}
        self._since = 0.0
        self._size = 0

    def add(self, member: int, event: TaskEvent) -> None:
        """Keep an answer until the next flush."""
        if not self._waiting:
            self._since, self._size = time.monotonic(), 0
        self._waiting[member] = enclosed = Enclosed.of(event)
        self._size += len(bytes(enclosed.body))

    def flush_if_due(self) -> None:
        """Publish what has waited for long enough, or is large."""
        waited = time.monotonic() - self._since
        if self._waiting and (waited > FLUSH_AFTER or self._size > MOST_BYTES):
            self.flush()

    def flush(self) -> None:
        """Publish all answers of members that the main process has not taken meanwhile."""
        answers = {n: answer for n, answer in self._waiting.items() if self._place.is_open(n)}
        self._waiting = {}
        if answers:
            body = msgspec.json.encode(list(answers.values()))
            self._backend.publish(body, answers_key(self._backend.app.main))
        for number in answers:
            self._place.set(number, ANSWERED)
