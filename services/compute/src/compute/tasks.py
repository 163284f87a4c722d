"""The worker's one task."""

from typing import Any

import msgspec

from compute import limits
from compute.app import app, catalogue, settings
from compute.request import LimitedRequest
from contracts.errors import result_too_large
from contracts.tasks import RUN_COMPUTATION, RunComputation
from worker.bundles import running
from worker.task import ContractTask

KIB = 1024  # bytes

running.accept(app)


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
        result = definition.run(payload.arguments)
        # Web would refuse it, too, but only after broker and collector have held it in memory.
        if len(msgspec.json.encode(result)) > settings.result_limit * KIB:
            raise result_too_large(settings.result_limit)
        return result
