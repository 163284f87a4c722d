"""A bundle in a worker's main process, which sees to it that each member gets an answer.

Its message is acknowledged only when each member is answered or returned to web, which then sends
it alone. So whatever goes wrong with a bundle (a process that dies, a member that takes long, a
worker that is told to stop) harms no member but the one that is to blame.
"""

import threading
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog
from celery.app.task import Context
from celery.exceptions import TimeLimitExceeded
from celery.worker import state
from celery.worker.control import Panel, control_command
from celery.worker.state import task_ready

from contracts.bundles import Enclosed, answers_key, bundle_of
from contracts.errors import TaskReturnedError
from contracts.events import TaskEvent, TaskState
from runtime.text import describe
from worker.backend import task_event
from worker.bundles.places import OPEN, TAKEN, Place
from worker.starts import MOMENT, starts
from worker.task import AnsweringRequest, ContractTask

log = structlog.get_logger("warren.bundles")

revoke_messages: Any = Panel.data["revoke"]
SLOW = 0.5  # seconds after which the other members no longer wait for one that runs


class BundleRequest(AnsweringRequest):
    """The message of a bundle."""

    _app: Any

    def __init__(self, message: Any, **options: Any) -> None:
        """Read it. Raises an error if it is no bundle of this worker's tasks: see the consumer."""
        super().__init__(message, **options)
        self._bundle = bundle_of(self._app.main).decode(self.kwargs)
        if not isinstance(self._app.tasks[self._bundle.task], ContractTask):
            raise TypeError(f"{self._bundle.task} runs in no bundle")
        self._ids = [str(member.id) for member in self._bundle.members]
        self._is_redelivered = bool(message.headers.get("x-delivery-count"))
        self._place = Place.take()
        self._told: set[int] = set()
        self._taking = threading.Lock()
        self.request_dict["place"] = self._place.number  # for the process that runs it

    @property
    def held_ids(self) -> Collection[str]:
        """The members that are neither answered nor returned."""
        return [self._ids[number] for number in self._open()]

    def _open(self) -> Iterable[int]:
        return self._place.open(len(self._ids))

    def revoked(self) -> bool:
        """Whether nothing is left to run: asked when a process of the pool is free for it.

        A bundle that comes again is not run. Its process, or its worker, may have died of a member.
        """
        if self._is_redelivered:
            log.warning("bundle came again: its tasks are sent alone", task_id=self.id)
            self._settle()
            return True
        self.revoke([each for each in self._ids if each in state.revoked])
        if not any(True for _ in self._open()):
            self._settle()
            return True
        return bool(super().revoked())

    def revoke(self, ids: Collection[str], pool: Any = None) -> None:
        """Take back members that are revoked. The one that runs is killed; the rest is returned."""
        numbers = [number for number in self._open() if self._ids[number] in ids]
        self._take(numbers, TaskState.REVOKED)
        if pool and self._place.running in numbers:
            self.give_back(pool)

    def tell_start(self) -> bool:
        """Tell of a member that has run for a moment, and let the others not wait for one for long.

        It is called each MOMENT while the bundle runs.
        """
        number, seconds = self._place.running, self._place.seconds
        if number is not None and seconds > MOMENT and number not in self._told:
            began = datetime.now(UTC) - timedelta(seconds=seconds)
            if self._publish([self._event(number, TaskState.STARTED, started_at=began)], once=True):
                self._told.add(number)
        if number is not None and seconds > SLOW:
            others = [each for each in self._open() if each != number]
            self._take(others, TaskState.RETRY, once=True)
        starts.note(self)
        return True

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Do nothing: Celery reports a hard limit as a failure, too."""

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> None:
        """Return what is unanswered: the process has died, or the machinery has failed.

        A member at its hard time limit fails.
        """
        if self.acknowledged:
            return
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        number = self._place.running
        told = describe(error)
        log.error("bundle failed", error=told, task_id=self.id)
        if number is not None and isinstance(error, TimeLimitExceeded):
            self._take([number], TaskState.FAILURE, error)
        self._settle()
        self.send_event("task-failed", exception=told, traceback="")

    def acknowledge(self) -> None:
        """Acknowledge the message. Members that are still open are returned first."""
        if not self.acknowledged:
            self._take(list(self._open()), TaskState.RETRY)
        super().acknowledge()

    def _settle(self) -> None:
        self.acknowledge()
        task_ready(self)  # only now: the worker reports members as held until web has their answers

    def _return(self) -> None:
        """Do nothing: to acknowledge is enough."""

    def _announce_revoked(self, *args: Any) -> None:
        """Revoke all members, as somebody has revoked the bundle."""
        self._take(list(self._open()), TaskState.REVOKED)
        super()._announce_revoked(*args)  # type: ignore[misc]  # the stubs do not know of it

    def _take(
        self,
        numbers: Collection[int],
        what: TaskState,
        error: Exception | None = None,
        *,
        once: bool = False,
    ) -> None:
        """Answer for open members in place of the process that runs the bundle.

        With ``once``, the members stay with it if the broker does not take the answer at once.
        """
        error = error or (
            TaskReturnedError("sent again, alone") if what == TaskState.RETRY else None
        )
        with self._taking:
            numbers = [number for number in numbers if self._place.is_open(number)]
            for number in numbers:
                self._place.set(number, TAKEN)
            events = [self._event(number, what, error) for number in numbers]
            if numbers and not self._publish(events, once=once):
                for number in numbers:
                    self._place.set(number, OPEN)

    def _publish(self, events: list[TaskEvent], *, once: bool) -> bool:
        backend: Any = self.task.backend
        body = msgspec.json.encode([Enclosed.of(event) for event in events])
        key = answers_key(self._app.main)
        if once:
            return bool(backend.publish_once(body, key))
        backend.publish(body, key)
        return True

    def _event(self, number: int, what: TaskState, result: Any = None, **context: Any) -> TaskEvent:
        member = self._bundle.members[number]
        run = Context(
            id=self._ids[number],
            task=self._bundle.task,
            hostname=self.hostname,
            request_id=member.request_id,
            **context,
        )
        return task_event(self._ids[number], result, what, run)


@control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(worker: Any, task_id: Any, terminate: bool = False, **options: Any) -> Any:
    """Revoke tasks by their ids, also members of bundles."""
    reply = revoke_messages(worker, task_id, terminate=terminate, **options)
    ids = {task_id} if isinstance(task_id, str) else {*task_id}
    for request in list(state.requests.values()):
        if isinstance(request, BundleRequest):
            request.revoke(ids, worker.consumer.pool if terminate else None)
    return reply
