"""Tasks of the contracts, called like web's own: ``contract_task(COUNT_WORDS).delay(text=…)``."""

from typing import Any

from contracts.tasks import TaskContract
from web.tasks.application import app
from web.tasks.execution import Contracted


def contract_task(contract: TaskContract[Any]) -> Any:
    """Return the task of a contract, which another service runs.

    It can be called, waited for, revoked, and put into chains, groups and chords. Its result is
    read like that of any other task.
    """
    if contract.name not in app.tasks:
        app.register_task(type(contract.payload.__name__, (Contracted,), {"name": contract.name})())
    return app.tasks[contract.name]
