"""The engines of all kinds of work, which take the events of their tasks."""

from collections.abc import Callable
from typing import Any, TypeVar

from contracts.events import TaskEvent
from contracts.tasks import TASKS, TaskContract
from web.tracking.engine import Engine, Tracking
from web.tracking.models import TrackedTask

Row = TypeVar("Row", bound=TrackedTask)
_engines: dict[str, Engine[Any]] = {}
_rest: list[Callable[[TaskContract[Any]], Tracking[Any]]] = []
_complete: set[str] = set()  # kinds to which the rest was added
_forms: dict[str, type[TaskEvent]] = {}


def register(tracking: Tracking[Row]) -> Engine[Row]:
    """Make an engine for a kind of work, which then gets the events of its task."""
    engine = Engine(tracking)
    _engines[tracking.kind] = engine
    return engine


def register_rest(declare: Callable[[TaskContract[Any]], Tracking[Any]]) -> None:
    """Track contracts' tasks that have no row of another kind as ``declare`` returns."""
    _rest[:] = [declare]
    _complete.clear()


def register_events(service: str, form: type[TaskEvent]) -> None:
    """Have events that come from a service decoded as ``form``."""
    _forms[service] = form


def find(kind: str) -> Engine[Any] | None:
    """Return the engine of a kind of work, or None if nobody has registered it.

    A kind is the name of a contract's task, or another name that an app has registered.
    """
    if kind not in _complete and kind in TASKS:
        _add_rest(TASKS[kind])
        _complete.add(kind)
    return _engines.get(kind)


def engines() -> list[Engine[Any]]:
    """Return all engines, also those for the rest of a kind."""
    for task in TASKS:
        find(task)
    return [
        each for engine in _engines.values() for each in (engine, engine.rest) if each is not None
    ]


def _add_rest(contract: TaskContract[Any]) -> None:
    """Add an engine for the tasks of a contract that have no row in a table of their own."""
    for declare in _rest:
        rest = Engine(declare(contract))
        if contract.name in _engines:
            _engines[contract.name].rest = rest
        else:
            _engines[contract.name] = rest


def form_of_events(service: str) -> type[TaskEvent]:
    """Return the type as which the events of a service are decoded."""
    return _forms.get(service, TaskEvent)
