"""The worker's one task."""

from typing import Any

from compute import limits
from compute.app import app, catalogue
from compute.request import LimitedRequest
from contracts.execution import ContractTask
from contracts.tasks import RUN_COMPUTATION, RunComputation


@app.task(
    name=RUN_COMPUTATION.name,
    contract=RUN_COMPUTATION,
    base=ContractTask,
    Request=LimitedRequest,
    bind=True,
)
def run(self: ContractTask, payload: RunComputation) -> Any:
    """Find the computation and call it within its limits."""
    definition = catalogue.find(payload.computation)
    with limits.enforced(self.request.timelimit, definition.limits.memory_limit):
        return definition.run(payload.arguments)
