"""Web's Celery application, which stores each task sent with it in the outbox.

``@shared_task``, ``delay()``, ``apply_async()``, signatures, chains, groups and chords are Celery's
own: all of them end in ``send_task``. See docs/adding-a-task.md.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import Celery, maybe_signature
from celery.app.amqp import AMQP
from celery.utils import uuid
from celery.utils.functional import maybe_list
from celery.utils.time import maybe_make_aware
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from contracts import topology
from contracts.tasks import TASKS, TaskContract
from runtime.backoff import Pauses
from runtime.environment import Environment
from web.messaging.processes.lifecycle import is_outage
from web.tasks import storing
from web.tasks.capture import Capture, RefusedError, routing_key_of
from web.tasks.events import Again
from web.tasks.execution import WebTask
from web.tasks.models import SERVICE
from worker.app import WorkerSettings, create_app

LONGEST_PAUSE = 5.0  # seconds between two attempts of a worker to store the next tasks
CONCURRENCY = 2
HIDDEN = "…"


_Celery: Any = Celery  # the stubs lack half of it


class PatientAMQP(AMQP):
    """Stores a task again and again for as long as the database is away.

    Otherwise Celery would report a run that has ended well as failed, because its callback could
    not be stored. Inside of a transaction nothing can be tried again.
    """

    def _retry_publish(self, publish: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        pauses = Pauses(LONGEST_PAUSE)
        while True:
            try:
                return publish(*args, **kwargs)
            except Exception as error:
                if not is_outage(error) or connection.in_atomic_block:
                    raise
                connection.close()
                pauses.take(lambda: None)


class OutboxCelery(_Celery):
    """A Celery application that stores messages with their rows instead of publishing them."""

    is_worker = False

    @contextmanager
    def producer_or_acquire(self, producer: Any = None) -> Iterator[Any]:
        """Yield a Capture in place of a producer.

        A group asks for one around all of its tasks: they are stored together or not at all.
        """
        if producer or self.conf.task_always_eager:
            yield producer or Capture()
        else:
            with transaction.atomic():
                yield Capture()

    def send_task(
        self,
        name: str,
        args: Any = None,
        kwargs: Any = None,
        countdown: float | None = None,
        eta: datetime | str | None = None,
        task_id: str | None = None,
        producer: Any = None,
        **options: Any,
    ) -> Any:
        """Store a task, in the caller's transaction or in one of its own.

        Celery's options ``producer``, ``connection`` and ``retry`` have no effect here: nothing
        waits for the broker. The outbox keeps to ``countdown`` and ``eta``. ``owner`` is the user
        for whom the task is done.

        Raises RefusedError for options that Warren's tasks do not have. Raises
        MalformedMessageError for arguments that break the contract of another service's task.
        """
        task_id = _checked(task_id) if task_id else uuid()
        if contract := TASKS.get(name):
            args, kwargs = (), _payload(contract, task_id, args, kwargs)
            options.pop("shadow", None)  # its name in Flower, which the contract decides
        # Celery would report no state of an ignored run, not even that it is to be retried.
        ignored = bool(options.pop("ignore_result", False))
        owner, _ = options.pop("owner", None), options.pop("connection", None)
        capture, options = Capture(), options | self._shown(name, args, kwargs, options)
        if not options.get("routing_key") and options.get("queue") in (None, topology.WEB_TASKS):
            options["routing_key"] = routing_key_of(name)
        if link := options.get("link"):
            options["link"] = _with_ids(link)
        result = super().send_task(
            name,
            args,
            kwargs,
            task_id=task_id,
            producer=capture,
            **options | {"retry": False, "event_dispatcher": capture, "ignore_result": False},
        )
        result.ignored = ignored
        self._keep(
            capture,
            due=self._due(countdown, eta),
            ignore_result=ignored,
            owner_id=owner.pk if owner else None,
        )
        return result

    def _keep(self, capture: Capture, *, due: datetime | timedelta | None, **options: Any) -> None:
        """Store a message. That of a retry goes to the run, which sends it to web with its state.

        If the run stored it inside of its own transaction, the exception Retry would roll it back.
        """
        message, parent = capture.message(), self.current_worker_task
        request = parent.request if parent else None
        if request and request.id == message.headers["id"]:
            if message.headers["retries"] != request.retries + 1:
                raise RefusedError(f"task_id={request.id}: that is the task which runs here")
            wait = due - datetime.now(due.tzinfo) if isinstance(due, datetime) else due
            seconds = max(0.0, wait.total_seconds()) if wait else 0.0
            request.update(again=Again(message=message, seconds=seconds))
            return
        storing.store(message, due=due, is_followed=capture.is_followed, **options)

    def _due(
        self, countdown: float | None, eta: datetime | str | None
    ) -> datetime | timedelta | None:
        if countdown:
            return timedelta(seconds=countdown)
        if isinstance(eta, str):
            eta = datetime.fromisoformat(eta)
        return maybe_make_aware(eta, tz=self.timezone) if eta else None

    def _shown(
        self, name: str, args: Any, kwargs: Any, options: Mapping[str, Any]
    ) -> dict[str, str]:
        """Describe a call for Flower and logs, by the arguments that the task shows."""
        described = {"argsrepr": "()", "kwargsrepr": self._described(name, args, kwargs)}
        if (contract := TASKS.get(name)) and (shadow := contract.shadow(kwargs)):
            described["shadow"] = shadow
        return {key: text for key, text in described.items() if options.get(key) is None}

    def _described(self, name: str, args: Any, kwargs: Any) -> str:
        if contract := TASKS.get(name):
            return contract.shown_arguments(kwargs)
        task: Any = self.tasks.get(name)
        shown = getattr(task, "shown", ())
        try:
            bound = inspect.signature(task.run).bind_partial(*(args or ()), **(kwargs or {}))
        except (TypeError, ValueError, AttributeError):  # a task that this process lacks
            return HIDDEN
        arguments = {key: value for key, value in bound.arguments.items() if key != "self"}
        return repr({key: arguments[key] if key in shown else HIDDEN for key in arguments})[:1024]

    def register_task(self, task: Any, **options: Any) -> Any:
        """Register a task that is a class. Raises ImproperlyConfigured if it is no WebTask."""
        if not isinstance(task, WebTask):
            raise ImproperlyConfigured(f"{task!r}: derive it from web.tasks.execution.WebTask")
        return super().register_task(task, **options)

    def _task_from_fun(self, fun: Any, name: str | None = None, **options: Any) -> Any:
        """Register a task.

        Raises ImproperlyConfigured for a name that is taken, and for options by which a task could
        get lost or be hidden.
        """
        name = name or self.gen_task_name(fun.__name__, fun.__module__)
        if name in TASKS or name == SERVICE:
            raise ImproperlyConfigured(f"{name} is the name of a contract's task")
        for option in ("acks_late", "reject_on_worker_lost"):
            if options.get(option) is False:
                raise ImproperlyConfigured(f"{name}: {option}=False would lose it with its worker")
        if options.get("rate_limit"):
            raise ImproperlyConfigured(
                f"{name}: rate_limit= would hold it in a worker where nobody can see it"
            )
        options |= _both_limits(options) | {"base": _with_ours(options.get("base"))}
        if name in self._tasks and _place(self._tasks[name].run) != _place(fun):
            places = f"{_place(self._tasks[name].run)} and {_place(fun)}"
            raise ImproperlyConfigured(f"two tasks are called {name}: {places}")
        return super()._task_from_fun(fun, name=name, **options)


def _payload(contract: TaskContract[Any], task_id: str, args: Any, kwargs: Any) -> dict[str, Any]:
    """Check a call against its contract. Raises RefusedError and MalformedMessageError."""
    if args:
        raise RefusedError(f"{contract.name}: a contract's arguments have names")
    given = dict(kwargs or {})
    if contract.id_field:
        given.setdefault(contract.id_field, task_id)
    return contract.encode(contract.decode(given))


def _checked(task_id: str) -> str:
    """Return the id. Raises RefusedError if it is not a valid UUID."""
    try:
        return str(UUID(str(task_id)))
    except ValueError:
        raise RefusedError(f"task_id={task_id!r}: it must be a UUID") from None


def _both_limits(options: Mapping[str, Any]) -> dict[str, float]:
    """Derive a missing time limit from the one that a task sets: the default may not fit."""
    soft, hard = (options.get(name) for name in ("soft_time_limit", "time_limit"))
    grace = settings.TASK_TIME_LIMIT - settings.TASK_SOFT_TIME_LIMIT
    if soft and not hard:
        return {"time_limit": soft + grace}
    return {"soft_time_limit": hard} if hard and not soft else {}


def _with_ours(base: Any) -> Any:
    """Make a WebTask of a task's own base class."""
    if base is None or issubclass(base, WebTask):
        return base
    return type(base.__name__, (base, WebTask), {"abstract": True, "__module__": base.__module__})


def _place(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _with_ids(link: Any) -> list[Any]:
    """Give callbacks their ids now, so that a repeated run sends the same tasks again."""
    signatures: list[Any] = [maybe_signature(each) for each in maybe_list(link) or ()]
    callbacks = [signature.clone() for signature in signatures]
    for callback in callbacks:
        if not callback.get("subtask_type"):
            callback.options.setdefault("task_id", uuid())
    return callbacks


def _make(name: str) -> OutboxCelery:
    return OutboxCelery(
        name, task_cls=WebTask, amqp=PatientAMQP, control="web.tasks.control:OutboxControl"
    )


app: Any = create_app(
    SERVICE,
    WorkerSettings.read(Environment(), concurrency=CONCURRENCY),
    pool="prefork",
    make=_make,
    result_backend="web.tasks.backend:TaskBackend",
    task_default_routing_key=f"{topology.WEB_TASKS}.unnamed",
    task_send_sent_event=True,  # stored, and sent by the relay after the confirm
    # No run may outlast RabbitMQ's consumer_timeout, after which a message is delivered again.
    task_soft_time_limit=settings.TASK_SOFT_TIME_LIMIT,
    task_time_limit=settings.TASK_TIME_LIMIT,
    worker_max_tasks_per_child=settings.TASK_RUNS_PER_PROCESS,  # libraries leak
    timezone=settings.TIME_ZONE,  # of an eta without a time zone
)
# In other threads than this one, Celery finds only the default application.
app.set_default()
