"""A worker that has one task and nothing else: ``python bare_worker.py threads`` or ``prefork``."""

import sys

from contracts.execution import ContractTask
from contracts.settings import Environment
from contracts.tasks import RUN_COMPUTATION, RunComputation
from contracts.worker import WorkerSettings, create_app, run

app = create_app("compute", WorkerSettings.read(Environment(), concurrency=2))


@app.task(name=RUN_COMPUTATION.name, base=ContractTask, contract=RUN_COMPUTATION)
def add(payload: RunComputation) -> int:
    """Add whatever numbers there are."""
    return sum(payload.arguments.values())


if __name__ == "__main__":
    run(app, pool=sys.argv[1])
