"""Who in web cares about the results of which work."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from contracts.results import TaskEvent
from contracts.tasks import TASKS, TaskContract
from web.tracking.engine import Engine, Tracking
from web.tracking.models import TrackedTask

Row = TypeVar("Row", bound=TrackedTask)
_engines: dict[str, Engine[Any]] = {}
_rest: list[Callable[[TaskContract[Any]], Tracking[Any]]] = []
_forms: dict[str, type[TaskEvent]] = {}


def register(tracking: Tracking[Row]) -> Engine[Row]:
    """Let a kind of work have the results of its task."""
    engine = Engine(tracking)
    _engines[tracking.kind] = engine
    return engine


def register_rest(declare: Callable[[TaskContract[Any]], Tracking[Any]]) -> None:
    """Let the tasks of contracts that nobody else has registered have what ``declare`` returns."""
    _rest[:] = [declare]


def register_events(service: str, form: type[TaskEvent]) -> None:
    """Have events that come from a service decoded as ``form``."""
    _forms[service] = form


def find(kind: str) -> Engine[Any] | None:
    """Return the engine of a kind of work, or None if nobody has registered it.

    A kind is the name of a task in the contracts, or what else an app has registered.
    """
    if kind not in _engines and kind in TASKS:
        for declare in _rest:
            register(declare(TASKS[kind]))
    return _engines.get(kind)


def registered() -> Mapping[str, Engine[Any]]:
    """Return all engines by their kinds."""
    for task in TASKS:
        find(task)
    return _engines


def form_of_events(service: str) -> type[TaskEvent]:
    """Return what the events of a service are decoded as."""
    return _forms.get(service, TaskEvent)
