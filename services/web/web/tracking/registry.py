"""Who in web cares about the results of which task."""

from collections.abc import Mapping
from typing import Any, TypeVar

from web.tracking.engine import Engine, Tracking
from web.tracking.models import TrackedTask

Row = TypeVar("Row", bound=TrackedTask)
_engines: dict[str, Engine[Any]] = {}


def register(tracking: Tracking[Row]) -> Engine[Row]:
    """Let a kind of work have the results of its task."""
    engine = Engine(tracking)
    _engines[tracking.contract.name] = engine
    return engine


def find(task: str) -> Engine[Any] | None:
    """Return the engine of ``task``, or None if no app sends it."""
    return _engines.get(task)


def registered() -> Mapping[str, Engine[Any]]:
    """Return all engines by their tasks."""
    return _engines
