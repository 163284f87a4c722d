"""Who in web cares about the results of which task."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from contracts.tasks import TASKS, TaskContract
from web.tracking.engine import Engine, Tracking
from web.tracking.models import TrackedTask

Row = TypeVar("Row", bound=TrackedTask)
_engines: dict[str, Engine[Any]] = {}
_rest: list[Callable[[TaskContract[Any]], Tracking[Any]]] = []


def register(tracking: Tracking[Row]) -> Engine[Row]:
    """Let a kind of work have the results of its task."""
    engine = Engine(tracking)
    _engines[tracking.contract.name] = engine
    return engine


def register_rest(declare: Callable[[TaskContract[Any]], Tracking[Any]]) -> None:
    """Let the tasks of contracts that nobody else has registered have what ``declare`` returns."""
    _rest[:] = [declare]


def find(task: str) -> Engine[Any] | None:
    """Return the engine of ``task``, or None if it is in no contract."""
    if task not in _engines and task in TASKS:
        for declare in _rest:
            register(declare(TASKS[task]))
    return _engines.get(task)


def registered() -> Mapping[str, Engine[Any]]:
    """Return all engines by their tasks."""
    for task in TASKS:
        find(task)
    return _engines
