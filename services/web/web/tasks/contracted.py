"""Tasks of the contracts, called like web's own: ``contract_task(COUNT_WORDS).delay(text=…)``."""

from typing import Any

from contracts.tasks import TaskContract
from web.tasks.application import app
from web.tasks.execution import Contracted


def contract_task(contract: TaskContract[Any]) -> Any:
    """Return the task of a contract: another service runs it, and its result is read as any other.

    It can be called, waited for, revoked, and put into chains, groups and chords.
    """
    if contract.name not in app.tasks:
        app.register_task(type(contract.payload.__name__, (Contracted,), {"name": contract.name})())
    return app.tasks[contract.name]
